"""Table of architectures. Imports no torch.

Your own architecture is a decoder class, given as `path/to/file.py:Class` or `package.module.Class` instead of the name
of an architecture. It is constructed as

    Class(encoder_channels, strides=..., classes=...)

The arguments are the channels of the encoder's feature maps, a list that starts with the images or the finest map; the
ratios of the image size to the sizes of the maps, another list; and the number of classes. The class must be a
`torch.nn.Module` whose `forward(features)` maps the list of feature maps (N, C, h, w) to logits (N, classes, h', w') of
any resolution. These are resized to the image with aligned corners. A map has ceil(size / stride) rows and columns. A
decoder that needs image sizes of a multiple, because it doubles the resolution map by map, has an attribute `multiple`,
for example 32, and images are padded to it.

Your own model, from normalised images to logits of any resolution, is an object instead of a class: any
`torch.nn.Module`, of which a copy is trained. Options of encoder and decoder do not apply to it.

A bundle stores the name of the class or object but never imports it: it must be passed when the bundle is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from xseg.errors import ConfigError, did_you_mean
from xseg.files.objects import is_class_path, load_object, object_path
from xseg.types import OutputStride

if TYPE_CHECKING:
    from torch import nn

ArchitectureArgument: TypeAlias = "str | type[nn.Module] | nn.Module"


@dataclass(frozen=True)
class Architecture:
    """A row of the table.

    Args:
        model: module and name of the `SegmentationModel` for a `ModelConfig`. The module is imported when a model is
            built, as SMP takes seconds to import.
        output_stride: usual output stride of the architecture.
    """

    model: str
    output_stride: OutputStride


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

ARCHITECTURES: dict[str, Architecture] = {
    "deeplabv3plus": Architecture("xseg.models.deeplabv3plus.DeepLabV3Plus", 16),
    **{
        name: Architecture("xseg.models.smp_model.SmpModel", decoder.output_strides[0])
        for name, decoder in SMP_DECODERS.items()
    },
}
OWN_DECODER = Architecture("xseg.models.decoder_model.DecoderModel", 16)


def find_architecture(name: str) -> Architecture:
    """Return a row of the table; for a class path, a row with the common defaults.

    Raises:
        ConfigError: if the architecture is unknown.
    """
    if is_class_path(name):
        return OWN_DECODER
    if name not in ARCHITECTURES:
        got = f"architecture={name!r}"
        expected = f"one of {', '.join(ARCHITECTURES)}, or a class path"
        raise ConfigError(got, expected=expected, remedy=did_you_mean(name, ARCHITECTURES))
    return ARCHITECTURES[name]


def resolve_architecture(architecture: ArchitectureArgument) -> tuple[str, type[nn.Module] | nn.Module | None]:
    """Return the name for a configuration, and the class of a user's own decoder, or a whole model of the user's own.

    Args:
        architecture: name in the table, class path, class, or object. The module of a class path is imported, which
            runs its code, so it must come from the user, never from a bundle or a checkpoint.

    Raises:
        ConfigError: if the architecture is unknown, or neither a class nor an object with a `forward`.
    """
    name = architecture if isinstance(architecture, str) else object_path(architecture)
    find_architecture(name)
    if not is_class_path(name):
        return name, None
    found: Any = load_object(architecture) if isinstance(architecture, str) else architecture
    if not isinstance(found, type) and not hasattr(found, "forward"):
        raise ConfigError(f"architecture={name!r} is not a class", expected="a decoder class, or a torch.nn.Module")
    return name, found
