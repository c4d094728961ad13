"""Depthwise convolution with a fast path for atrous rates on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def atrous_depthwise(features: Tensor, weight: Tensor, rate: int) -> Tensor:
    """Convolve every channel with its own 3x3 kernel at an atrous rate, keeping the size.

    oneDNN leaves its fast path if the padding is large relative to the map. Padding first avoids this and gives the
    same values.

    Args:
        features: input features, (N, C, H, W).
        weight: kernels, (C, 1, 3, 3).
        rate: distance of the kernel's samples, at least 1.

    Returns:
        (N, C, H, W).
    """
    if 3 * rate <= min(features.shape[-2], features.shape[-1]):
        return F.conv2d(features, weight, padding=rate, dilation=rate, groups=features.shape[1])
    return F.conv2d(F.pad(features, [rate] * 4), weight, dilation=rate, groups=features.shape[1])


def shifted(features: Tensor, down: int, right: int) -> Tensor:
    """Return the part of (N, C, H, W) that remains on the map after moving it by (-down, -right)."""
    height, width = features.shape[-2], features.shape[-1]
    return features[:, :, max(0, down) : max(0, height + min(0, down)), max(0, right) : max(0, width + min(0, right))]


class AtrousDepthwiseFunction(torch.autograd.Function):
    """`atrous_depthwise` with a backward pass on oneDNN's fast path.

    oneDNN's own backward pass of an atrous depthwise convolution is 50 to 250 times slower than that of a dense one of
    the same size: five of them cost as much as the forward pass of the whole network.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, rate: int) -> Tensor:
        """Convolve; see `atrous_depthwise`."""
        ctx.save_for_backward(features, weight)
        ctx.rate = rate
        return atrous_depthwise(features, weight, rate)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Return the gradients of features (a convolution with the rotated kernel) and kernel (nine sums)."""
        features, weight = ctx.saved_tensors
        of_features = of_weight = None
        if ctx.needs_input_grad[0]:
            of_features = atrous_depthwise(gradient, weight.flip(2, 3), ctx.rate)
        if ctx.needs_input_grad[1]:
            accumulator = torch.promote_types(weight.dtype, torch.float32)
            sums = weight.new_zeros(weight.shape, dtype=accumulator)
            for row in range(3):
                for column in range(3):
                    down, right = (row - 1) * ctx.rate, (column - 1) * ctx.rate
                    product = shifted(features, down, right) * shifted(gradient, -down, -right)
                    sums[:, 0, row, column] = product.sum((0, 2, 3), dtype=accumulator)
            of_weight = sums.to(weight.dtype)
        return of_features, of_weight, None


class DepthwiseConv2d(nn.Conv2d):
    """A bias-free 3x3 depthwise convolution; pixel i of the output lies over pixel `stride * i` of the input.

    Args:
        channels: number of input and output channels.
        stride: stride of the convolution.
        dilation: atrous rate and padding.
    """

    def __init__(self, channels: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            channels, channels, 3, stride=stride, padding=dilation, dilation=dilation, groups=channels, bias=False
        )
        self.rate = dilation
        self.atrous = dilation > 1 and stride == 1

    @torch.jit.unused
    def _convolve_atrous(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if traced or input.device.type != "cpu":
            plain: Tensor = self._conv_forward(input, self.weight, None)
            return plain
        weight: Tensor = self.weight
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            input, weight = input.to(dtype), weight.to(dtype)  # noqa: A001
        convolved: Tensor = AtrousDepthwiseFunction.apply(input, weight, self.rate)
        return convolved

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Convolve (N, channels, H, W) to (N, channels, ceil(H / stride), ceil(W / stride))."""
        if self.atrous and not torch.jit.is_scripting():  # type: ignore[attr-defined]
            return self._convolve_atrous(input)
        output: Tensor = self._conv_forward(input, self.weight, None)
        return output
