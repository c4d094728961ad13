"""Spatial convolution over segments of the channels, from a full to a depthwise convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xseg.errors import require
from xseg.nn.atrous import DepthwiseConv2d


def segment_sizes(channels: int, segments: int) -> tuple[int, ...]:
    """Divide channels into segments as evenly as possible, larger ones first.

    Raises:
        ConfigError: if there are more segments than channels, or none.
    """
    require(1 <= segments <= channels, f"{segments} segments of {channels} channels", f"1 to {channels}")
    size, larger = divmod(channels, segments)
    return (size + 1,) * larger + (size,) * (segments - larger)


class SegmentedConv2d(nn.Module):
    """A bias-free convolution that processes segments of the channels separately.

    One segment gives a full convolution; one segment per channel gives a depthwise convolution.

    Args:
        channels: number of input channels.
        segments: number of segments, 1 to `channels`.
        multiplier: output channels per input channel.
        kernel: height and width of the kernel, odd.
        stride: stride of the convolution.
        dilation: dilation of the convolution; output pixel i is aligned with input pixel `stride * i`.

    Raises:
        ConfigError: if the segments do not fit.

    Source: Chollet 2017, section 1.1, Figures 3 and 4.
    """

    def __init__(
        self, channels: int, *, segments: int, multiplier: int = 1, kernel: int = 3, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        sizes = segment_sizes(channels, segments)
        # Segments of equal size form one grouped convolution, so there are at most two.
        counts = {size: sizes.count(size) for size in dict.fromkeys(sizes)}
        self.widths = [size * count for size, count in counts.items()]
        self.convs = nn.ModuleList(
            nn.Conv2d(
                size * count,
                size * count * multiplier,
                kernel,
                stride=stride,
                padding=dilation * (kernel // 2),
                dilation=dilation,
                groups=count,
                bias=False,
            )
            for size, count in counts.items()
        )

    def forward(self, features: Tensor) -> Tensor:
        """Convolve (N, channels, H, W) to (N, channels * multiplier, ceil(H / stride), ceil(W / stride))."""
        parts = torch.split(features, self.widths, dim=1)
        return torch.cat([conv(parts[index]) for index, conv in enumerate(self.convs)], dim=1)


def spatial_convolution(
    channels: int, *, segments: int | None = None, multiplier: int = 1, stride: int = 1, dilation: int = 1
) -> nn.Module:
    """Return the 3x3 half of a separable convolution, the fast depthwise convolution if possible.

    Without `segments`, there is one per channel.

    Raises:
        ConfigError: if the segments do not fit.
    """
    if multiplier == 1 and segments in (None, channels):
        return DepthwiseConv2d(channels, stride=stride, dilation=dilation)
    return SegmentedConv2d(
        channels, segments=segments or channels, multiplier=multiplier, stride=stride, dilation=dilation
    )
