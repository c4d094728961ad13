"""What the user chooses about training a classifier, as plain values; these docstrings are the help. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from xseg.errors import ConfigError
from xseg.nn.ablation import Ablation
from xseg.types import Padding


def _require(right: bool, got: str, expected: str) -> None:
    if not right:
        raise ConfigError(got, expected=expected)


@dataclass(frozen=True)
class RateOptions:
    """How weights follow gradients, and how the learning rate falls.

    Args:
        optimizer: "sgd" with momentum, "rmsprop" or "adamw".
        lr: learning rate at the start, of everything but the encoder.
        encoder_lr: that of the encoder; null for the same.
        momentum: of "sgd" and "rmsprop"; the first beta of "adamw".
        weight_decay: of dense kernels; normalisation, biases and depthwise kernels have none.
        schedule: "exponential" multiplies the rate by `decay` at intervals; "poly" lets it fall to 0 at the end, as
            (1 - step / steps) ** power; "constant" leaves it.
        decay: factor of "exponential".
        decay_epochs: epochs between its factors.
        decay_samples: images between its factors, in place of epochs; null for epochs.
        power: of "poly".
        warmup_steps: number of first steps over which the rate rises.

    Raises:
        ConfigError: if a value is out of range.

    Source of "sgd" and "rmsprop" with "exponential": Chollet 2017, section 4.3.
    """

    optimizer: Literal["sgd", "rmsprop", "adamw"] = "sgd"
    lr: float = 0.045
    encoder_lr: float | None = None
    momentum: float = 0.9
    weight_decay: float = 1e-5
    schedule: Literal["exponential", "poly", "constant"] = "exponential"
    decay: float = 0.94
    decay_epochs: float = 2.0
    decay_samples: int | None = None
    power: float = 0.9
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        rates = [self.lr] if self.encoder_lr is None else [self.lr, self.encoder_lr]
        _require(min(rates) >= 0 < max(rates), f"learning rates {rates}", "0 or more, and one above 0")
        _require(0 <= self.momentum < 1, f"momentum={self.momentum}", "0 or more and below 1")
        _require(0 < self.decay <= 1, f"decay={self.decay}", "above 0 and up to 1")
        _require(self.decay_epochs > 0, f"decay_epochs={self.decay_epochs}", "above 0")
        samples = self.decay_samples
        _require(samples is None or samples > 0, f"decay_samples={samples}", "1 or more, or null")
        for name in ("weight_decay", "power", "warmup_steps"):
            _require(getattr(self, name) >= 0, f"{name}={getattr(self, name)}", "0 or more")


@dataclass(frozen=True)
class ClassifierOptions:
    """The classifier and how it learns; its classes come from the folders.

    Args:
        encoder: a name of `xseg.list_encoders()`.
        encoder_weights: a file with the encoder's weights, a name in the catalogue, or null for random ones.
        padding: "symmetric", or "tf_same" for weights of TensorFlow or Keras.
        width: multiplier of the encoder's channels, rounded to 8.
        fully_connected: units of each layer between pooling and the outputs; [4096, 4096] in the paper's JFT
            experiments.
        dropout: share of the outputs' input that is dropped while training; 0.5 on ImageNet.
        ablation: how the encoder differs from its table, for the paper's studies.
        rates: how weights follow gradients.
        label_smoothing: share of the target spread over all classes; 0.1 for Inception V3.
        ema_decay: keep a moving average of the weights (Polyak averaging), with this share of the old at every step,
            and validate and save it in place of the last weights; null for none.
        batch_norm_momentum: share of a new batch in the running means and variances, above 0 and up to 1; null for
            the encoder's own, which is 0.01 for the original Xception. Short trainings need about 0.1.
        channels_last: keep images as (N, H, W, C) in memory, which is faster on most hardware.

    Raises:
        ConfigError: if a value is out of range.
    """

    encoder: str = "xception"
    encoder_weights: str | None = None
    padding: Padding = "symmetric"
    width: float = 1.0
    fully_connected: tuple[int, ...] = ()
    dropout: float = 0.5
    ablation: Ablation = field(default_factory=Ablation)
    rates: RateOptions = field(default_factory=RateOptions)
    label_smoothing: float = 0.1
    ema_decay: float | None = 0.9999
    batch_norm_momentum: float | None = None
    channels_last: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "fully_connected", tuple(self.fully_connected))
        _require(self.ema_decay is None or 0 <= self.ema_decay < 1, f"ema_decay={self.ema_decay}", "0 to 1, or null")
        _require(0 <= self.label_smoothing < 1, f"label_smoothing={self.label_smoothing}", "0 or more and below 1")
        _require(0 <= self.dropout < 1, f"dropout={self.dropout}", "0 or more and below 1")
        momentum = self.batch_norm_momentum
        _require(momentum is None or 0 < momentum <= 1, f"batch_norm_momentum={momentum}", "above 0 and up to 1")
        _require(self.width > 0, f"width={self.width}", "a value above 0")
