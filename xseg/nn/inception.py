"""Inception modules as tables, from GoogLeNet's to the "extreme" one of Xception."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from xseg.errors import require


@dataclass(frozen=True)
class Convolution:
    """A bias-free convolution at stride 1, followed by a ReLU.

    Args:
        channels: number of output channels.
        kernel: height and width of the kernel, odd.
        segments: number of input segments that are convolved separately.

    Raises:
        ConfigError: if a side of the kernel is even, or a number is below 1.
    """

    channels: int
    kernel: tuple[int, int] = (1, 1)
    segments: int = 1

    def __post_init__(self) -> None:
        sound = min(self.channels, self.segments, *self.kernel) >= 1 and all(side % 2 for side in self.kernel)
        require(sound, f"{self}", "odd kernels, and values of 1 or more")
        segments = f"{self.segments} segments of {self.channels} channels"
        require(self.channels % self.segments == 0, segments, "a divisor")


@dataclass(frozen=True)
class Pool:
    """A 3x3 pooling at stride 1."""

    kind: Literal["max", "average"] = "max"


Operation: TypeAlias = Convolution | Pool
Tower: TypeAlias = tuple[Operation, ...]


@dataclass(frozen=True)
class Inception:
    """An Inception module: parallel towers on one input, with concatenated outputs.

    Raises:
        ConfigError: if a tower is empty.
    """

    towers: tuple[Tower, ...]
    source: str

    def __post_init__(self) -> None:
        require(bool(self.towers) and all(self.towers), f"towers {self.towers}", "one or more, none of them empty")

    def out_channels(self, in_channels: int) -> int:
        """Return the number of channels after the concatenation."""
        return sum(_widths(tower, in_channels)[-1] for tower in self.towers)

    def parameters(self, in_channels: int) -> int:
        """Return the number of weights for an input of `in_channels`; equal to the multiply-adds per pixel."""
        return sum(
            width_in // operation.segments * operation.channels * math.prod(operation.kernel)
            for tower in self.towers
            for width_in, operation in zip(_widths(tower, in_channels), tower, strict=False)
            if isinstance(operation, Convolution)
        )

    def multiply_adds(self, in_channels: int, height: int, width: int) -> int:
        """Return the multiply-adds over a map of `height` x `width` pixels."""
        return self.parameters(in_channels) * height * width


def receptive_field(tower: Tower) -> tuple[int, int]:
    """Return the height and width of the input region that one output pixel of a tower sees."""
    kernels = [operation.kernel if isinstance(operation, Convolution) else (3, 3) for operation in tower]
    return 1 + sum(rows - 1 for rows, _ in kernels), 1 + sum(columns - 1 for _, columns in kernels)


def _widths(tower: Tower, in_channels: int) -> list[int]:
    """Return the channels before each operation of a tower, and after the last."""
    widths = [in_channels]
    for operation in tower:
        widths.append(operation.channels if isinstance(operation, Convolution) else widths[-1])
    return widths


def _conv(channels: int, *kernel: int) -> Convolution:
    height, width = kernel if len(kernel) == 2 else kernel * 2
    return Convolution(channels, (height, width))


def _around(middle: tuple[Tower, ...], channels: int, source: str, pool: Pool | None = None) -> Inception:
    """Return some towers between a 1x1 convolution and a pooling with one."""
    one = _conv(channels, 1)
    return Inception(((one,), *middle, (pool or Pool(), one)), source)


def naive(channels: int) -> Inception:
    """Return 1x1, 3x3, 5x5 and pooling in parallel; the output grows from module to module."""
    towers = ((_conv(channels, 1),), (_conv(channels, 3),), (_conv(channels, 5),), (Pool(),))
    return Inception(towers, "Szegedy et al. 2015, Figure 2a")


def reduced(channels: int) -> Inception:
    """Return the naive module with 1x1 convolutions that reduce the channels before the large kernels."""
    reduction = _conv(max(1, channels // 2), 1)
    middle = ((reduction, _conv(channels, 3)), (reduction, _conv(channels, 5)))
    return _around(middle, channels, "Szegedy et al. 2015, Figure 2b")


def factorised(channels: int) -> Inception:
    """Return the reduced module with two 3x3 convolutions instead of the 5x5 one."""
    reduction, conv = _conv(max(1, channels // 2), 1), _conv(channels, 3)
    return _around(((reduction, conv), (reduction, conv, conv)), channels, "Szegedy et al. 2016, Figure 5")


def asymmetric(channels: int, size: int = 7) -> Inception:
    """Return the module with a 1 x n and an n x 1 kernel for each n x n kernel."""
    reduction, row, column = _conv(max(1, channels // 2), 1), _conv(channels, 1, size), _conv(channels, size, 1)
    middle = ((reduction, row, column), (reduction, column, row, column, row))
    return _around(middle, channels, "Szegedy et al. 2016, Figure 6")


def canonical(channels: int) -> Inception:
    """Return Inception V3's module, the starting point of Chollet's argument."""
    one, conv = _conv(channels, 1), _conv(channels, 3)
    return _around(((one, conv), (one, conv, conv)), channels, "Chollet 2017, Figure 1", Pool("average"))


def simplified(channels: int, towers: int = 3) -> Inception:
    """Return equal towers of a 1x1 and a 3x3 convolution."""
    return Inception(((_conv(channels, 1), _conv(channels, 3)),) * towers, "Chollet 2017, Figure 2")


def equivalent(channels: int, segments: int = 3) -> Inception:
    """Return one large 1x1 convolution and a 3x3 one per segment of its output; equals the simplified module."""
    total = channels * segments
    return Inception(((_conv(total, 1), Convolution(total, (3, 3), segments)),), "Chollet 2017, Figure 3")


def extreme(channels: int) -> Inception:
    """Return one 1x1 convolution and a 3x3 one per channel of its output: almost a separable convolution."""
    return Inception(((_conv(channels, 1), Convolution(channels, (3, 3), channels)),), "Chollet 2017, Figure 4")


def _operation(in_channels: int, operation: Operation) -> nn.Module:
    if not isinstance(operation, Convolution):
        return nn.MaxPool2d(3, stride=1, padding=1) if operation.kind == "max" else nn.AvgPool2d(3, stride=1, padding=1)
    channels, kernel, segments = operation.channels, operation.kernel, operation.segments
    require(in_channels % segments == 0, f"{segments} segments of {in_channels} channels", "a divisor")
    padding = (kernel[0] // 2, kernel[1] // 2)
    conv = nn.Conv2d(in_channels, channels, kernel, padding=padding, groups=segments, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, activation=nn.ReLU()))


class InceptionModule(nn.Module):
    """Module built from an `Inception` table.

    Raises:
        ConfigError: if segments do not divide the channels.
    """

    def __init__(self, in_channels: int, table: Inception) -> None:
        super().__init__()
        self.towers = nn.ModuleList(
            nn.Sequential(*map(_operation, _widths(tower, in_channels), tower)) for tower in table.towers
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W)."""
        return torch.cat([tower(features) for tower in self.towers], dim=1)
