"""SMP's decoders, as a table. Imports no SMP."""

from __future__ import annotations

from dataclasses import dataclass

from xseg.types import OutputStride


@dataclass(frozen=True)
class SmpDecoder:
    """How one of SMP's models is built.

    Args:
        name: of the class in SMP.
        output_strides: those that it can work with; the first is used where none is asked for.
        pyramid: whether it doubles the resolution map by map, so that no map may be dilated.
        stride_argument: whether its constructor takes `encoder_output_stride`.
        rates_argument: whether it takes `decoder_atrous_rates`; SMP's do not follow the output stride by themselves.
        channels_argument: whether it wants one `decoder_channels` per map.
        upsampling_argument: whether its head has to be told the stride of the last map.
        smallest_map: rows and columns that the last map must have.
    """

    name: str
    output_strides: tuple[OutputStride, ...]
    pyramid: bool = False
    stride_argument: bool = False
    rates_argument: bool = False
    channels_argument: bool = False
    upsampling_argument: bool = False
    smallest_map: int = 1


SMP_DECODERS: dict[str, SmpDecoder] = {
    "unet": SmpDecoder("Unet", (32, 16, 8, 4), channels_argument=True),
    "unetplusplus": SmpDecoder("UnetPlusPlus", (32, 16, 8), pyramid=True, channels_argument=True),
    "manet": SmpDecoder("MAnet", (32, 16, 8), pyramid=True, channels_argument=True),
    "linknet": SmpDecoder("Linknet", (32, 16, 8), pyramid=True),
    "fpn": SmpDecoder("FPN", (32, 16, 8), pyramid=True),
    "pspnet": SmpDecoder("PSPNet", (8, 16, 32, 4), upsampling_argument=True),
    "pan": SmpDecoder("PAN", (16, 32), stride_argument=True, smallest_map=8),  # it halves that map three times
    "deeplabv3": SmpDecoder("DeepLabV3", (8, 16), stride_argument=True, rates_argument=True),
    "smp_deeplabv3plus": SmpDecoder("DeepLabV3Plus", (16, 8), stride_argument=True, rates_argument=True),
    "upernet": SmpDecoder("UPerNet", (32, 16, 8, 4)),
    "segformer": SmpDecoder("Segformer", (32, 16, 8, 4)),
}
