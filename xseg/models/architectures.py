"""The architectures, as a table, and from a configuration to a model with random weights. Imports no torch.

An architecture of your own is a decoder: a class that is named as `path/to/file.py:Class` or `package.module.Class`
where an architecture is asked for. It is built as

    Class(encoder_channels, strides=..., classes=...)

Its arguments are the channels of the encoder's maps, a list that begins with the images or the finest map; the size of
the image over the size of each map, another list; and the number of classes. It has to be a `torch.nn.Module` whose
`forward(features)` maps that list of maps (N, C, h, w) to logits (N, classes, h', w') of any resolution. These are
resized to the image, corner pixels on corner pixels. A map has ceil(size / stride) rows and columns. A decoder that
needs multiples, because it doubles the resolution map by map, has an attribute `multiple`, for example 32, to which
images are padded.

A bundle keeps the class's name and never imports it: whoever loads the bundle passes the class.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from xseg.errors import ConfigError
from xseg.files.objects import is_class_path, load_object
from xseg.models.smp_decoders import SMP_DECODERS
from xseg.types import OutputStride

if TYPE_CHECKING:
    from torch import nn

    from xseg.models.config import ModelConfig
    from xseg.models.segmentation import SegmentationModel

ArchitectureArgument: TypeAlias = "str | type[nn.Module]"


@dataclass(frozen=True)
class Architecture:
    """A row of the table.

    Args:
        model: module and name of the `SegmentationModel` that is built of a `ModelConfig`. The module is imported when
            a model is built: SMP takes seconds to import.
        output_stride: output stride that the architecture is best known at.
    """

    model: str
    output_stride: OutputStride


ARCHITECTURES: dict[str, Architecture] = {
    "deeplabv3plus": Architecture("xseg.models.deeplabv3plus.DeepLabV3Plus", 16),
    **{
        name: Architecture("xseg.models.smp_model.SmpModel", decoder.output_strides[0])
        for name, decoder in SMP_DECODERS.items()
    },
}


OWN_DECODER = Architecture("xseg.models.decoder_model.DecoderModel", 16)


def find_architecture(name: str) -> Architecture:
    """Return a row of the table; of a class path, what all of them have in common.

    Raises:
        ConfigError: if there is no architecture of that name.
    """
    if is_class_path(name):
        return OWN_DECODER
    if name not in ARCHITECTURES:
        near = difflib.get_close_matches(name, ARCHITECTURES, n=1)
        raise ConfigError(
            f"architecture={name!r}",
            expected=f"one of {', '.join(ARCHITECTURES)}, or a class path",
            remedy=f"did you mean {near[0]}?" if near else "",
        )
    return ARCHITECTURES[name]


def resolve_architecture(architecture: ArchitectureArgument) -> tuple[str, type[nn.Module] | None]:
    """Return the name that a configuration keeps, and the class of a decoder of one's own.

    Args:
        architecture: name in the table, class path, or class. The module of a class path is imported, which runs its
            code: it may come from the user alone, never from a bundle or a checkpoint.

    Raises:
        ConfigError: if there is no such architecture, or it is no class.
    """
    name = architecture if isinstance(architecture, str) else f"{architecture.__module__}.{architecture.__qualname__}"
    find_architecture(name)
    if not is_class_path(name):
        return name, None
    found: Any = load_object(architecture) if isinstance(architecture, str) else architecture
    if not isinstance(found, type):
        raise ConfigError(f"architecture={name!r} is no class", expected="a class of decoders, a torch.nn.Module")
    return name, found


def build_model(config: ModelConfig, decoder: type[nn.Module] | None = None) -> SegmentationModel:
    """Build a model with random weights.

    Args:
        config: what to build.
        decoder: class of the decoder, where the configuration names a class path. It is never imported here.

    Raises:
        ConfigError: if the parts do not fit together, or the decoder's class is missing.
    """
    module, _, name = find_architecture(config.architecture).model.rpartition(".")
    build: Any = getattr(import_module(module), name)
    if is_class_path(config.architecture) != (decoder is not None):
        if decoder is not None:
            raise ConfigError(f"a class of decoders for {config.architecture}", expected=f"{config.architecture} alone")
        raise ConfigError(
            f"architecture {config.architecture!r} is a class outside this package, which is never imported by itself",
            expected="the class",
            remedy="pass it: architecture=Class in Python, --architecture path/to/file.py:Class on the command line",
        )
    model: SegmentationModel = build(config) if decoder is None else build(config, decoder)
    return model
