"""Adapt the first convolution to another number of image channels."""

from __future__ import annotations

from torch import Tensor


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
