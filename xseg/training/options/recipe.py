"""Options for optimiser, schedule and loss; the docstrings are the help. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from xseg.errors import ConfigError
from xseg.files.objects import is_class_path
from xseg.losses.registry import LOSSES, loss_fields

ScheduleName: TypeAlias = Literal["poly", "exponential", "constant"]
ClassWeighting: TypeAlias = Literal["none", "auto", "inverse_sqrt", "inverse"]
Warmup: TypeAlias = Literal["linear", "constant"]
RMSPROP_DECAY = 0.9  # Chollet 2017 and Google's Inceptions on JFT
# by name: the class, and its arguments for `momentum`
OPTIMIZERS: dict[str, tuple[str, Callable[[float], dict[str, Any]]]] = {
    "adamw": ("torch.optim.AdamW", lambda momentum: {"betas": (momentum, 0.999), "fused": True}),  # fast on CPUs too
    "sgd": ("torch.optim.SGD", lambda momentum: {"momentum": momentum}),
    "rmsprop": ("torch.optim.RMSprop", lambda momentum: {"alpha": RMSPROP_DECAY, "momentum": momentum}),
}


def require(right: bool, got: str, expected: str) -> None:
    """Check an option.

    Raises:
        ConfigError: if `right` is false.
    """
    if not right:
        raise ConfigError(got, expected=expected)


def _require_known(name: str, known: Collection[str], what: str) -> None:
    right = name in known or is_class_path(name)
    require(right, f"{what}.name={name!r}", f"one of {', '.join(known)}, or a class path")


@dataclass(frozen=True)
class OptimizerOptions:
    """Optimiser and learning rates.

    Args:
        name: "adamw", "sgd" with momentum as in DeepLab, "rmsprop" as for Xception on JFT, or the class path of
            another torch optimiser: `torch.optim.NAdam` or `path/to/file.py:Name`.
        lr: peak learning rate of all parts except the encoder.
        encoder_lr: peak learning rate of the encoder; null for the same as `lr`.
        decoder_multiplier: multiplier of `lr` for the decoder, ASPP included.
        last_layer_multiplier: multiplier of `lr` for the last layer, which computes the class scores (TF DeepLab,
            `last_layer_gradient_multiplier`, with `last_layers_contain_logits_only`).
        bias_multiplier: additional multiplier for the biases of convolutions; 2 in TF DeepLab.
        layer_decay: learning rate factor per encoder block, counted from the last block; 1 for equal rates.
        weight_decay: weight decay of convolution kernels; normalisation, biases and depthwise kernels have none
            (TF DeepLab, `regularize_depthwise=False`).
        momentum: momentum of "sgd" and "rmsprop", first beta of "adamw"; use `options` for a class path.
        options: further arguments of the optimiser class, which override those above.
        reference_batch: number of images per step for which the rates are given; the rates are multiplied by the
            actual number, over all processes and accumulated batches, divided by this one. Null for unscaled rates.

    Raises:
        ConfigError: if a value is out of range.
    """

    name: str = "adamw"
    lr: float = 1e-3
    encoder_lr: float | None = None
    decoder_multiplier: float = 1.0
    last_layer_multiplier: float = 1.0
    bias_multiplier: float = 1.0
    layer_decay: float = 1.0
    weight_decay: float = 1e-4
    momentum: float = 0.9
    options: dict[str, Any] = field(default_factory=dict)
    reference_batch: int | None = None

    def __post_init__(self) -> None:
        _require_known(self.name, OPTIMIZERS, "optimizer")
        rates = [self.lr] if self.encoder_lr is None else [self.lr, self.encoder_lr]
        if min(rates) < 0 or max(rates) == 0:
            raise ConfigError(f"learning rates {rates}", expected="0 or more, and one above 0")
        require(self.weight_decay >= 0, f"weight_decay={self.weight_decay}", "0 or more")
        require(0 <= self.momentum < 1, f"momentum={self.momentum}", "0 or more and below 1")
        for name in ("decoder_multiplier", "last_layer_multiplier", "bias_multiplier"):
            require(getattr(self, name) >= 0, f"{name}={getattr(self, name)}", "0 or more")
        require(0 < self.layer_decay <= 1, f"layer_decay={self.layer_decay}", "above 0 and up to 1")
        batch = self.reference_batch
        require(batch is None or batch >= 1, f"reference_batch={batch}", "1 or more, or null")


@dataclass(frozen=True)
class ScheduleOptions:
    """Learning rate schedule and warm-up.

    Args:
        name: "poly" falls to 0 at the end; "exponential" multiplies the rate by `decay` at intervals, as in the
            Xception paper; "constant" keeps it; or the class path of a torch scheduler, which is stepped after every
            optimiser step: `torch.optim.lr_scheduler.OneCycleLR` or `path/to/file.py:Name`.
        options: arguments of the scheduler for a class path; the value "steps" stands for the number of training steps.
        power: exponent of "poly", with the factor (1 - step / steps) ** power; 0.9 in the DeepLab papers.
        decay: factor of "exponential".
        decay_epochs: number of epochs between decays.
        decay_samples: number of images between decays, instead of epochs; null for epochs.
        warmup_steps: number of warm-up steps.
        warmup: "linear" for a linear increase; "constant" for the rate `warmup_lr`, as `slow_start_step` in TF
            DeepLab.
        warmup_lr: learning rate of a constant warm-up for parts with the rate `lr`; other rates scale accordingly.

    Raises:
        ConfigError: if a value is out of range.
    """

    name: str = "poly"
    options: dict[str, Any] = field(default_factory=dict)
    power: float = 0.9
    decay: float = 0.94
    decay_epochs: float = 2.0
    decay_samples: int | None = None
    warmup_steps: int = 0
    warmup: Warmup = "linear"
    warmup_lr: float = 1e-4

    def __post_init__(self) -> None:
        _require_known(self.name, get_args(ScheduleName), "schedule")
        require(self.power >= 0, f"power={self.power}", "0 or more")
        require(0 < self.decay <= 1, f"decay={self.decay}", "above 0 and up to 1")
        require(self.decay_epochs > 0, f"decay_epochs={self.decay_epochs}", "above 0")
        samples = self.decay_samples
        require(samples is None or samples > 0, f"decay_samples={samples}", "1 or more, or null")
        require(self.warmup_steps >= 0, f"warmup_steps={self.warmup_steps}", "0 or more")
        require(self.warmup_lr > 0, f"warmup_lr={self.warmup_lr}", "above 0")


Kind = TypeVar("Kind", bound=type)


def _with_losses(kind: Kind) -> Kind:
    """Add fields and help for the weight and the parameters of each registered loss."""
    fields = loss_fields()
    kind.__annotations__ = {**dict.fromkeys(fields, "float"), **kind.__annotations__}
    for name, (default, _) in fields.items():
        setattr(kind, name, default)
    lines = "".join(f"        {name}: {text}\n" for name, (_, text) in fields.items())
    kind.__doc__ = re.sub(r"(?<=Args:\n)", lambda _: lines, kind.__doc__ or "", count=1)
    return kind


@dataclass(frozen=True)
@_with_losses
class LossOptions:
    """Weighted sum of losses over the labelled pixels; see `xseg.losses.registry.LOSSES`.

    Args:
        terms: your own losses, as {losses.py:MyLoss: 0.5} or {losses.py:MyLoss: {weight: 0.5, gamma: 2}} with
            constructor arguments. In Python, a class, a module or a function can replace the class path.
        label_smoothing: label smoothing of the cross-entropy.
        class_weights: class weights of the cross-entropy: one number above 0 per class, as in [1, 5, 2], or by name,
            as in {road: 1, pole: 5}, with 1 for all others. Or from the class frequencies in the training masks:
            "none" for 1, "inverse" for median / frequency (Eigen and Fergus 2015, section 6.3.2), "inverse_sqrt" for
            its square root; "auto" for "inverse_sqrt" if one class has over ten times the pixels of another, else
            "none".
        hard_pixels: share of pixels with the highest cross-entropy to average (TF DeepLab, `top_k_percent_pixels`);
            1 for all.
        hard_pixel_steps: number of steps in which the share falls from 1 to `hard_pixels` (TF DeepLab,
            `hard_example_mining_step`).
        auxiliary: weight of the loss of an auxiliary head on the second-to-last encoder features, which is trained
            with the model but not saved (0.4 in Zhao et al. 2017); 0 for none.

    Raises:
        ConfigError: if a value is out of range, or no loss has a weight.
    """

    terms: dict[Any, Any] = field(default_factory=dict)
    label_smoothing: float = 0.0
    class_weights: ClassWeighting | tuple[float, ...] | dict[str, float] = "none"
    hard_pixels: float = 1.0
    hard_pixel_steps: int = 0
    auxiliary: float = 0.0

    def __post_init__(self) -> None:
        weights = {name: getattr(self, name) for name in LOSSES}
        for source, value in self.terms.items():
            weight = value.get("weight") if isinstance(value, Mapping) else value
            number = isinstance(weight, int | float) and not isinstance(weight, bool)
            require(number, f"terms: {source}: {value!r}", "a weight, or {weight: 0.5, ARGUMENT: VALUE}")
            weights[source] = weight
        require(min(weights.values()) >= 0 and any(weights.values()), f"losses {weights}", "0 or more, one above 0")
        if not isinstance(self.class_weights, str | Mapping):
            object.__setattr__(self, "class_weights", tuple(self.class_weights))
        if not isinstance(self.class_weights, str):
            given = self.class_weights
            numbers = [*given.values()] if isinstance(given, Mapping) else [*given]
            require(bool(numbers) and min(numbers) > 0, f"class_weights={given}", "numbers above 0")
        require(0 <= self.label_smoothing < 1, f"label_smoothing={self.label_smoothing}", "0 or more and below 1")
        require(0 < self.hard_pixels <= 1, f"hard_pixels={self.hard_pixels}", "above 0 and up to 1")
        for name in ("hard_pixel_steps", "auxiliary", *loss_fields()):
            require(getattr(self, name) >= 0, f"{name}={getattr(self, name)}", "0 or more")
        for name in (name for name, loss in LOSSES.items() if loss.some_above_0):
            values = {f"{name}_{key}": getattr(self, f"{name}_{key}") for key in LOSSES[name].parameters}
            require(any(values.values()), " and ".join(f"{key}=0" for key in values), "one above 0")
        mines = self.hard_pixels < 1
        require(weights["cross_entropy"] > 0 or not mines, f"hard_pixels={self.hard_pixels} without cross_entropy", "1")
        require(mines or not self.hard_pixel_steps, "hard_pixel_steps with hard_pixels=1", "hard_pixels below 1")
