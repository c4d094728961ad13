"""Which parameters learn how fast, and how the rate falls over a training."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer, RMSprop

from xseg.classification.options import RateOptions
from xseg.models.classifier import XceptionClassifier

RMSPROP_ALPHA, RMSPROP_EPS = 0.9, 1.0  # TF slim's Inception on ImageNet, which PyTorch's 1e-8 would make diverge


def rate_factor(step: int, options: RateOptions, *, steps: int, steps_per_epoch: float, images_per_step: int) -> float:
    """Return what the learning rate is multiplied by at a step.

    Args:
        step: number of optimiser steps already taken, from 0.
        options: the schedule.
        steps: number of optimiser steps of the whole training.
        steps_per_epoch: of the optimiser.
        images_per_step: over all devices.

    Returns:
        A factor from 0 to 1; exponential decay goes by whole intervals, as TensorFlow's `staircase=True`.
    """
    rising = min(1.0, (step + 1) / (options.warmup_steps + 1))
    if options.schedule == "constant":
        return rising
    if options.schedule == "poly":
        remaining = max(0.0, 1.0 - step / max(1, steps))
        return rising * (remaining**options.power if remaining else 0.0)
    if options.decay_samples is not None:
        intervals = step * images_per_step // options.decay_samples
    else:
        intervals = int(step / (options.decay_epochs * steps_per_epoch) + 1e-9)  # 2 * 0.1 * 5 is not quite 1
    return float(rising * options.decay**intervals)


def parameter_groups(model: XceptionClassifier, options: RateOptions) -> list[dict[str, Any]]:
    """Split the trainable parameters by learning rate and by weight decay; every one is in exactly one group."""
    dense = {id(layer.weight) for layer in model.modules() if _decays(layer)}
    encoder = {id(parameter) for parameter in model.encoder.parameters()}
    encoder_lr = options.lr if options.encoder_lr is None else options.encoder_lr
    groups: dict[tuple[bool, bool], dict[str, Any]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        inside, decays = id(parameter) in encoder, id(parameter) in dense
        group = {
            "name": ("encoder" if inside else "head") + ("" if decays else "/without_decay"),
            "params": [],
            "lr": encoder_lr if inside else options.lr,
            "weight_decay": options.weight_decay if decays else 0.0,
        }
        groups.setdefault((inside, decays), group)["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def _decays(layer: nn.Module) -> bool:
    """Return whether a layer's weight is a kernel over several channels."""
    if isinstance(layer, nn.Conv2d):
        return not (layer.groups == layer.in_channels and layer.groups > 1)
    return isinstance(layer, nn.Linear)


def build_optimizer(model: XceptionClassifier, options: RateOptions) -> Optimizer:
    """Return the optimiser of a classifier.

    Source: SGD and RMSProp: Chollet 2017, section 4.3; RMSProp's other numbers: TF slim, `train_image_classifier.py`.
    """
    groups = parameter_groups(model, options)
    if options.optimizer == "sgd":
        return SGD(groups, lr=options.lr, momentum=options.momentum)
    if options.optimizer == "rmsprop":
        return RMSprop(groups, lr=options.lr, alpha=RMSPROP_ALPHA, eps=RMSPROP_EPS, momentum=options.momentum)
    return AdamW(groups, lr=options.lr, betas=(options.momentum, 0.999), fused=True)  # one pass, on CPUs too
