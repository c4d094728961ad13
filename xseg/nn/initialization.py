"""Initialisation of weights: random, or from kernels for another number of image channels."""

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


def repeat_kernels(weight: Tensor, in_channels: int) -> Tensor:
    """Repeat first kernels over other input channels, as SMP does.

    Args:
        weight: kernels, (out, channels, H, W).
        in_channels: number of image channels.

    Returns:
        (out, in_channels, H, W): channel i takes the kernel of channel i modulo `channels`, scaled by
        channels / in_channels, so that the response to a grey image does not change. One channel gets the sum.
    """
    channels = weight.shape[1]
    if in_channels == channels:
        return weight
    if in_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    sources = [channel % channels for channel in range(in_channels)]
    return weight[:, sources] * (channels / in_channels)


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
