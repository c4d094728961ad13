"""From a configuration to a model with random weights."""

from __future__ import annotations

from xseg.models.config import Architecture, ModelConfig
from xseg.models.deeplabv3plus import DeepLabV3Plus
from xseg.models.segmentation import SegmentationModel
from xseg.types import OutputStride


def build_model(config: ModelConfig) -> SegmentationModel:
    """Build a model with random weights.

    Raises:
        ConfigError: if the parts do not fit together.
    """
    if config.architecture == "deeplabv3plus":
        return DeepLabV3Plus(config)
    from xseg.models.smp_decoders import SmpModel  # SMP takes seconds to import, and the paper's model needs none of it

    return SmpModel(config)


def default_output_stride(architecture: Architecture) -> OutputStride:
    """Return the output stride that an architecture is best known at: 16 for DeepLabV3+."""
    if architecture == "deeplabv3plus":
        return 16
    from xseg.models.smp_decoders import SMP_DECODERS

    return SMP_DECODERS[architecture].output_strides[0]
