"""The encoders with the methods that SMP asks for."""

from __future__ import annotations

from torch import nn

from xseg.encoders.variants import encoder_spec
from xseg.encoders.xception import INIT_STD, XceptionEncoder
from xseg.errors import ConfigError
from xseg.nn.in_channels import repeat_kernels
from xseg.nn.initialization import initialize
from xseg.types import OutputStride


class SmpEncoder(XceptionEncoder):
    """An encoder with the methods that SMP calls after building one.

    Args:
        name: of `xseg.list_encoders()`.
        width: multiplier of the channels, rounded to 8.
        depth: number of maps after the input.
        output_stride: SMP passes it on; the encoder is built at it, nothing is patched afterwards.
    """

    def __init__(self, name: str, width: float, depth: int = 5, output_stride: OutputStride = 32) -> None:
        super().__init__(encoder_spec(name).scaled(width), depth=depth, output_stride=output_stride)

    def set_in_channels(self, in_channels: int, pretrained: bool = True) -> None:
        """Rebuild the first convolution for images of `in_channels` channels, as SMP does.

        With `pretrained`, its kernels are repeated over the channels and scaled so that the response to a grey image
        stays what it was; one channel gets their sum.
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
        """Confirm the output stride that the encoder was built with.

        Raises:
            ConfigError: if it is another one.
        """
        if min(output_stride, 2**self.depth) != self.output_stride:
            raise ConfigError(
                f"make_dilated({output_stride}) of an encoder of output stride {self.output_stride}",
                expected="the output stride it was built with",
                remedy="pass output_stride when building it",
            )
