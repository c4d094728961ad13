"""Random initialisation of weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def truncated_normal_(weight: Tensor, std: float) -> None:
    """Fill `weight` from a normal distribution, redrawing values beyond two standard deviations.

    Same as TensorFlow's `truncated_normal`. `torch.nn.init.trunc_normal_` gives the same distribution through the
    inverse error function, which takes seconds for a whole Xception.
    """
    if weight.is_meta:
        return
    with torch.no_grad():
        weight.normal_(std=std)
        outside = weight.abs() > 2 * std
        while outside.any():
            weight[outside] = torch.empty(int(outside.sum()), dtype=weight.dtype, device=weight.device).normal_(std=std)
            outside = weight.abs() > 2 * std


def initialize(module: nn.Module, *, depthwise: float, pointwise: float) -> None:
    """Initialise the convolutions of `module` from truncated normals with these deviations, and biases with 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            std = depthwise if part.groups == part.in_channels and part.groups > 1 else pointwise
            truncated_normal_(part.weight, std)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


@contextmanager
def off_the_meta_device() -> Iterator[None]:
    """Build on the CPU where the meta device is asked for, for networks that compute while they are built.

    They draw no random numbers then, as on the meta device.
    """
    if torch.get_default_device().type != "meta":
        yield
        return
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        yield
