"""Table of SMP's decoders. Does not import SMP."""

from __future__ import annotations

from dataclasses import dataclass

from xseg.types import OutputStride


@dataclass(frozen=True)
class SmpDecoder:
    """Construction of one of SMP's models.

    Args:
        name: name of the class in SMP.
        output_strides: supported output strides; the first one is the default.
        pyramid: whether it doubles the resolution map by map, so that no map may be dilated.
        stride_argument: whether its constructor has `encoder_output_stride`.
        rates_argument: whether its constructor has `decoder_atrous_rates`; SMP does not adapt them to the stride.
        channels_argument: whether it needs one `decoder_channels` per map.
        upsampling_argument: whether its head needs the stride of the last map.
        smallest_map: smallest height and width of the last map.
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
    "pan": SmpDecoder("PAN", (16, 32), stride_argument=True, smallest_map=8),  # halves the last map three times
    "deeplabv3": SmpDecoder("DeepLabV3", (8, 16), stride_argument=True, rates_argument=True),
    "smp_deeplabv3plus": SmpDecoder("DeepLabV3Plus", (16, 8), stride_argument=True, rates_argument=True),
    "upernet": SmpDecoder("UPerNet", (32, 16, 8, 4)),
    "segformer": SmpDecoder("Segformer", (32, 16, 8, 4)),
}
