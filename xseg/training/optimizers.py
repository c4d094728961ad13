"""Optimisers and schedules, with learning rates and weight decay per part of a model."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypeVar

from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from xseg.encoders.xception import XceptionEncoder
from xseg.errors import ConfigError
from xseg.files.objects import load_object
from xseg.models.classifier import XceptionClassifier
from xseg.models.segmentation import SegmentationModel
from xseg.training.options.recipe import OPTIMIZERS, OptimizerOptions, ScheduleOptions

Network: TypeAlias = SegmentationModel | XceptionClassifier
Part: TypeAlias = Literal["encoder", "decoder", "last", "auxiliary"]
Made = TypeVar("Made", Optimizer, LRScheduler)


def parameter_groups(
    model: Network, options: OptimizerOptions, *, auxiliary: nn.Module | None = None, scale: float = 1.0
) -> list[dict[str, Any]]:
    """Split the trainable parameters by learning rate and by weight decay.

    Args:
        model: model, whose encoder, decoder and last layer may have different rates.
        options: optimiser options.
        auxiliary: auxiliary head, with the rate of the decoder.
        scale: multiplier of all rates.

    Returns:
        Non-empty groups for a torch optimiser, each with a `name` that starts with the part; every parameter is in
        exactly one group.
    """
    blocks = [] if options.layer_decay == 1 else encoder_blocks(model)[::-1]
    depths = {id(parameter): depth for depth, block in enumerate(blocks) for parameter in block.parameters()}
    modules = [*model.modules(), *(auxiliary.modules() if auxiliary is not None else ())]
    layers = [layer for layer in modules if isinstance(layer, nn.Linear | _ConvNd)]
    decaying = {id(layer.weight) for layer in layers if not _is_depthwise(layer)}
    # without shifts of normalisations, the rate of which TF does not double either
    biases = {id(layer.bias) for layer in layers if layer.bias is not None}
    groups: dict[str, dict[str, Any]] = {}
    for part, module in _parts(model, auxiliary).items():
        for parameter in module.parameters():
            if not parameter.requires_grad:
                continue
            depth = depths.get(id(parameter), 0)
            decays, bias = id(parameter) in decaying, id(parameter) in biases
            name = part + (f"/{depth}" if depth else "") + ("/bias" if bias else "" if decays else "/without_decay")
            rate = (
                _rate(part, options) * options.layer_decay**depth * (options.bias_multiplier if bias else 1.0) * scale
            )
            decay = options.weight_decay if decays else 0.0
            group = {"name": name, "params": [], "lr": rate, "weight_decay": decay}
            groups.setdefault(name, group)["params"].append(parameter)
    return [groups[name] for name in sorted(groups)]


def _parts(model: Network, auxiliary: nn.Module | None) -> dict[Part, nn.Module]:
    parts: dict[Part, nn.Module]
    if isinstance(model, XceptionClassifier):
        parts = {"encoder": model.encoder, "last": nn.ModuleList([model.fully_connected, model.head])}
    else:
        parts = {"encoder": model.encoder, "decoder": model.decoder, "last": model.segmentation_head}
    return parts if auxiliary is None else {**parts, "auxiliary": auxiliary}


def _rate(part: Part, options: OptimizerOptions) -> float:
    if part == "encoder":
        return options.lr if options.encoder_lr is None else options.encoder_lr
    return options.lr * (options.last_layer_multiplier if part == "last" else options.decoder_multiplier)


def encoder_blocks(model: Network) -> list[nn.Module]:
    """Return the encoder's stem and blocks, starting at the image; for an encoder of SMP, its parts."""
    if isinstance(model.encoder, XceptionEncoder):
        return [model.encoder.stem, *model.encoder.blocks]
    parts = list(model.encoder.children())
    while len(parts) == 1:
        parts = list(parts[0].children())
    return parts


def _is_depthwise(layer: nn.Linear | _ConvNd) -> bool:
    """Return whether a convolution processes each channel separately."""
    return isinstance(layer, _ConvNd) and layer.groups == layer.in_channels and layer.groups > 1


def build_optimizer(
    model: Network, options: OptimizerOptions, *, auxiliary: nn.Module | None = None, scale: float = 1.0
) -> Optimizer:
    """Return the optimiser of a model's trainable parameters; see `parameter_groups` for the arguments.

    Raises:
        ConfigError: if a class path is not an optimiser, or does not accept the arguments.

    Source: SGD with momentum without Nesterov: TF DeepLab `train.py`; AdamW: Loshchilov and Hutter 2019; RMSProp:
    Chollet 2017, section 4.3.
    """
    groups = parameter_groups(model, options, auxiliary=auxiliary, scale=scale)
    path, arguments = OPTIMIZERS.get(options.name, (options.name, lambda _momentum: {}))
    settings = {"lr": options.lr, **arguments(options.momentum), **options.options}
    return _made(path, Optimizer, groups, settings, "optimizer")


def build_schedule(optimizer: Optimizer, options: ScheduleOptions, *, steps: int) -> LRScheduler:
    """Return the scheduler of a class path; for named schedules, see `xseg.training.optimizers.rate_factor`.

    Raises:
        ConfigError: if the class does not exist, or does not accept the arguments.
    """
    settings = {name: steps if value == "steps" else value for name, value in options.options.items()}
    return _made(options.name, LRScheduler, optimizer, settings, "schedule")


def _made(path: str, kind: type[Made], first: Any, settings: dict[str, Any], what: str) -> Made:
    """Return an object of the class at a class path, or from the function there."""
    found = load_object(path)
    name, expected = f"{what}.name={path!r}", f"a subclass of torch's {kind.__name__}, or a function that returns one"
    if not callable(found) or (isinstance(found, type) and not issubclass(found, kind)):
        raise ConfigError(name, expected=expected)
    try:
        made: Made = found(first, **settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} with {settings}: {error}", remedy=f"change {what}.options") from error
    if not isinstance(made, kind):
        raise ConfigError(f"{name} returned {type(made).__name__}", expected=expected)
    return made


def rate_factor(
    step: int,
    options: ScheduleOptions,
    *,
    steps: int,
    lr: float = 1.0,
    steps_per_epoch: float = 1.0,
    images_per_step: int = 1,
) -> float:
    """Return the factor of the peak learning rate at a step.

    Args:
        step: number of completed optimiser steps.
        options: options of a named schedule and the warm-up.
        steps: number of optimiser steps of the training.
        lr: peak learning rate, for the ratio of a constant warm-up.
        steps_per_epoch: number of optimiser steps per epoch.
        images_per_step: number of images per step over all processes.

    Returns:
        Factor from 0 to 1, or above 1 if a constant warm-up exceeds the peak rate. It is never 0 for `step < steps`, so
        that no step is wasted.

    Source: polynomial with end value 0: Chen et al. 2017 (DeepLabv2), section 4.1.2. Exponential: Chollet 2017,
    section 4.3, by whole intervals, as TensorFlow's `staircase=True`. The warm-up multiplies or replaces the schedule
    instead of delaying it, so that `warmup_steps` does not affect later steps. Constant warm-up: TF DeepLab
    `train_utils.get_model_learning_rate`, `slow_start_learning_rate`.
    """
    if options.warmup == "constant" and step < options.warmup_steps:
        return options.warmup_lr / lr
    rising = 1.0 if options.warmup == "constant" else min(1.0, (step + 1) / (options.warmup_steps + 1))
    if options.name == "poly":
        remaining = max(0.0, 1.0 - step / max(1, steps))
        return rising * (remaining**options.power if remaining else 0.0)
    if options.name == "constant":
        return rising
    if options.decay_samples is not None:
        intervals = step * images_per_step // options.decay_samples
    else:
        intervals = int(step / (options.decay_epochs * steps_per_epoch) + 1e-9)  # 2 * 0.1 * 5 is not quite 1
    return float(rising * options.decay**intervals)
