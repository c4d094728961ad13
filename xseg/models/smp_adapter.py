"""Encoders with the interface of SMP."""

from __future__ import annotations

from torch import nn

from xseg.encoders.variants import encoder_spec
from xseg.encoders.xception import INIT_STD, XceptionEncoder
from xseg.errors import ConfigError
from xseg.nn.in_channels import repeat_kernels
from xseg.nn.initialization import initialize
from xseg.types import OutputStride


class SmpEncoder(XceptionEncoder):
    """An encoder with the methods that SMP calls after construction.

    Args:
        name: name from `xseg.list_encoders()`.
        width: multiplier of the channels, rounded to multiples of 8.
        depth: number of feature maps after the input.
        output_stride: output stride from SMP, at which the encoder is built.
    """

    def __init__(self, name: str, width: float, depth: int = 5, output_stride: OutputStride = 32) -> None:
        super().__init__(encoder_spec(name).scaled(width), depth=depth, output_stride=output_stride)

    def set_in_channels(self, in_channels: int, pretrained: bool = True) -> None:
        """Rebuild the first convolution for images with `in_channels` channels, as in SMP.

        With `pretrained`, its kernels are repeated over the channels and scaled so that the response to a grey image
        does not change; one channel gets their sum.
        """
        if in_channels == self.in_channels:
            return
        first = self.stem.conv1.conv
        fresh = nn.Conv2d(in_channels, first.out_channels, 3, stride=2, padding=1, bias=False).to(first.weight)
        initialize(fresh, depthwise=INIT_STD, pointwise=INIT_STD)
        if pretrained:
            fresh.weight.data.copy_(repeat_kernels(first.weight.data, in_channels))
        self.stem.conv1.conv = fresh
        self.in_channels = in_channels
        self.out_channels[0] = in_channels

    def make_dilated(self, output_stride: int) -> None:
        """Check the output stride with which the encoder was built.

        Raises:
            ConfigError: if it differs.
        """
        if min(output_stride, 2**self.depth) != self.output_stride:
            raise ConfigError(
                f"make_dilated({output_stride}) of an encoder with output stride {self.output_stride}",
                expected="the output stride with which it was built",
                remedy="pass output_stride when building the encoder",
            )
