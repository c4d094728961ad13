"""What the user chooses about a training, as plain values; these docstrings are the help. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from xseg.errors import ConfigError
from xseg.models.config import Architecture
from xseg.types import OutputStride, Padding

OptimizerName: TypeAlias = Literal["adamw", "sgd"]
ClassWeighting: TypeAlias = Literal["none", "inverse_sqrt", "inverse"]


@dataclass(frozen=True)
class OptimizerOptions:
    """How weights follow gradients.

    Args:
        name: "adamw", or "sgd" with momentum, which is DeepLab's.
        lr: highest learning rate, of everything but the encoder.
        encoder_lr: highest learning rate of the encoder; null for the same as `lr`.
        weight_decay: of convolution kernels; normalisation, biases and depthwise kernels have none (TF DeepLab,
            `regularize_depthwise=False`).
        momentum: of "sgd"; the first beta of "adamw".

    Raises:
        ConfigError: if a value is out of range.
    """

    name: OptimizerName = "adamw"
    lr: float = 1e-3
    encoder_lr: float | None = None
    weight_decay: float = 1e-4
    momentum: float = 0.9

    def __post_init__(self) -> None:
        rates = [self.lr] if self.encoder_lr is None else [self.lr, self.encoder_lr]
        if min(rates) < 0 or max(rates) == 0:
            raise ConfigError(f"learning rates {rates}", expected="0 or more, and one above 0")
        _require(self.weight_decay >= 0, f"weight_decay={self.weight_decay}", "0 or more")
        _require(0 <= self.momentum < 1, f"momentum={self.momentum}", "0 or more and below 1")


@dataclass(frozen=True)
class ScheduleOptions:
    """How the learning rate moves over the steps of a training.

    Args:
        power: the rate falls as (1 - step / steps) ** power; 0.9 in the DeepLab papers.
        warmup_steps: number of first steps over which the rate rises in a straight line to its highest.

    Raises:
        ConfigError: if a value is negative.
    """

    power: float = 0.9
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        _require(self.power >= 0, f"power={self.power}", "0 or more")
        _require(self.warmup_steps >= 0, f"warmup_steps={self.warmup_steps}", "0 or more")


@dataclass(frozen=True)
class LossOptions:
    """What is minimised: cross-entropy over the labelled pixels.

    Args:
        label_smoothing: share of the target spread over all classes.
        class_weights: weight of a pixel by how common its class is among the training masks: "none" for 1,
            "inverse" for median / frequency (Eigen and Fergus 2015, section 6.3.2), "inverse_sqrt" for its root.

    Raises:
        ConfigError: if the smoothing is out of range.
    """

    label_smoothing: float = 0.0
    class_weights: ClassWeighting = "none"

    def __post_init__(self) -> None:
        _require(0 <= self.label_smoothing < 1, f"label_smoothing={self.label_smoothing}", "0 or more and below 1")


@dataclass(frozen=True)
class TaskOptions:
    """The model and how it learns; classes and input channels come from the data.

    Args:
        architecture: "deeplabv3plus" is the paper's; the others are SMP's decoders.
        encoder: a name of `xseg.list_encoders()`.
        encoder_weights: a file with the encoder's weights, a name in the catalogue, or null for random ones.
        output_stride: size of the input over the size of the encoder's last features; null for what the architecture
            is best known at, 16 for DeepLabV3+.
        depth: number of times the encoder may halve the resolution, 1 to 5.
        padding: "symmetric", or "tf_same" for weights of TensorFlow or Keras.
        width: multiplier of the encoder's channels, rounded to 8.
        decoder_channels: channels of DeepLabV3+'s ASPP and decoder; 256 in the paper.
        atrous_rates: DeepLabV3+'s three rates; null for those that follow the output stride (6, 12, 18 at 16).
        dropout: share of DeepLabV3+'s ASPP output dropped while training.
        decoder: false for DeepLabV3+ without its decoder, which is DeepLabV3.
        aspp: false for DeepLabV3+ without its ASPP.
        image_pooling: false for an ASPP without the branch of the whole image.
        multi_grid: factors of the dilations of the encoder's last block, one per convolution.
        optimizer: how weights follow gradients.
        schedule: how the learning rate moves.
        loss: what is minimised.
        ema_decay: keep a moving average of the weights, with this share of the old at every step, and validate and
            save it in place of the last weights; null for none. The average spans about 1 / (1 - decay) steps.
        batch_norm: "train", or "frozen" to keep the means and variances of the encoder's weights, for batches under
            about 12 (TF DeepLab, `fine_tune_batch_norm`).
        batch_norm_momentum: share of a new batch in the running means and variances that validation and prediction
            use, above 0 and up to 1; null for the model's own. Short trainings need about 0.1: the original Xception
            has 0.01, which takes some hundred steps to forget where it started.
        channels_last: keep images as (N, H, W, C) in memory, which is faster on most hardware.

    Raises:
        ConfigError: if a value is out of range.
    """

    architecture: Architecture = "deeplabv3plus"
    encoder: str = "xception65"
    encoder_weights: str | None = None
    output_stride: OutputStride | None = None
    depth: int = 5
    padding: Padding = "symmetric"
    width: float = 1.0
    decoder_channels: int = 256
    atrous_rates: tuple[int, int, int] | None = None
    dropout: float = 0.1
    decoder: bool = True
    aspp: bool = True
    image_pooling: bool = True
    multi_grid: tuple[int, int, int] = (1, 1, 1)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    ema_decay: float | None = None
    batch_norm: Literal["train", "frozen"] = "train"
    batch_norm_momentum: float | None = None
    channels_last: bool = True

    def __post_init__(self) -> None:
        _require(self.ema_decay is None or 0 <= self.ema_decay < 1, f"ema_decay={self.ema_decay}", "0 to 1, or null")
        momentum = self.batch_norm_momentum
        _require(momentum is None or 0 < momentum <= 1, f"batch_norm_momentum={momentum}", "above 0 and up to 1")
        _require(1 <= self.depth <= 5, f"depth={self.depth}", "1 to 5")
        _require(self.width > 0, f"width={self.width}", "a value above 0")


def _require(right: bool, got: str, expected: str) -> None:
    if not right:
        raise ConfigError(got, expected=expected)
