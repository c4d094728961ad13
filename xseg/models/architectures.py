"""The architectures, as a table, and from a configuration to a model with random weights. Imports no torch."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from xseg.errors import ConfigError
from xseg.models.smp_decoders import SMP_DECODERS
from xseg.types import OutputStride

if TYPE_CHECKING:
    from xseg.models.config import ModelConfig
    from xseg.models.segmentation import SegmentationModel


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


def find_architecture(name: str) -> Architecture:
    """Return a row of the table.

    Raises:
        ConfigError: if there is no architecture of that name.
    """
    if name not in ARCHITECTURES:
        near = difflib.get_close_matches(name, ARCHITECTURES, n=1)
        raise ConfigError(
            f"architecture={name!r}",
            expected=f"one of {', '.join(ARCHITECTURES)}",
            remedy=f"did you mean {near[0]}?" if near else "",
        )
    return ARCHITECTURES[name]


def build_model(config: ModelConfig) -> SegmentationModel:
    """Build a model with random weights.

    Raises:
        ConfigError: if the parts do not fit together.
    """
    module, _, name = find_architecture(config.architecture).model.rpartition(".")
    build: type[SegmentationModel] = getattr(import_module(module), name)
    return build(config)
