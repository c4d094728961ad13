"""The spatial convolution over segments of the channels: from a full convolution to a depthwise one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xseg.errors import ConfigError
from xseg.nn.atrous import DepthwiseConv2d


def segment_sizes(channels: int, segments: int) -> tuple[int, ...]:
    """Divide channels into segments as evenly as can be, the larger ones first.

    Raises:
        ConfigError: if there are more segments than channels, or none.
    """
    if not 1 <= segments <= channels:
        raise ConfigError(f"{segments} segments of {channels} channels", expected=f"1 to {channels}")
    size, larger = divmod(channels, segments)
    return (size + 1,) * larger + (size,) * (segments - larger)


class SegmentedConv2d(nn.Module):
    """A bias-free convolution that sees one segment of the channels at a time.

    One segment is a full convolution; as many segments as channels are a depthwise one.

    Args:
        channels: of the input.
        segments: 1 to `channels`.
        multiplier: channels of the output per channel of the input.
        kernel: height and width of the kernel; odd.
        stride: of the convolution.
        dilation: of the convolution; pixel i of the output lies over pixel `stride * i` of the input.

    Raises:
        ConfigError: if the segments do not fit.

    Source: Chollet 2017, section 1.1, Figures 3 and 4.
    """

    def __init__(
        self, channels: int, *, segments: int, multiplier: int = 1, kernel: int = 3, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        sizes = segment_sizes(channels, segments)
        # Segments of one size are one grouped convolution, so that there are at most two.
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
    """Return the 3x3 half of a separable convolution: the fast depthwise one wherever it is that.

    Args:
        channels: of the input.
        segments: of the channels; None for one per channel.
        multiplier: outputs per channel.
        stride: of the convolution.
        dilation: of the convolution, and its padding.

    Raises:
        ConfigError: if the segments do not fit.
    """
    if multiplier == 1 and segments in (None, channels):
        return DepthwiseConv2d(channels, stride=stride, dilation=dilation)
    return SegmentedConv2d(
        channels, segments=segments or channels, multiplier=multiplier, stride=stride, dilation=dilation
    )
