"""Builder of models with random weights."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import nn

from xseg.errors import ConfigError
from xseg.files.objects import is_class_path
from xseg.models.architectures import find_architecture
from xseg.models.config import ModelConfig
from xseg.models.decoder_model import OwnModel
from xseg.models.segmentation import SegmentationModel


def build_model(config: ModelConfig, decoder: type[nn.Module] | nn.Module | None = None) -> SegmentationModel:
    """Build a model with random weights.

    Args:
        config: configuration of the model.
        decoder: class of the decoder, or a whole model, if the configuration has a class path, which is never imported
            here.

    Raises:
        ConfigError: if the parts do not fit together, or the decoder class is missing.
    """
    if isinstance(decoder, nn.Module):
        return OwnModel(config, decoder)
    module, _, name = find_architecture(config.architecture).model.rpartition(".")
    build: Any = getattr(import_module(module), name)
    if is_class_path(config.architecture) != (decoder is not None):
        if decoder is not None:
            raise ConfigError(f"a decoder class for {config.architecture}", expected=f"only {config.architecture}")
        got = f"architecture {config.architecture!r} is outside this package, and xseg does not import it"
        remedy = "pass architecture=Class or the model in Python, or --architecture path/to/file.py:NAME in a shell"
        raise ConfigError(got, expected="the class of the decoder, or the model", remedy=remedy)
    model: SegmentationModel = build(config) if decoder is None else build(config, decoder)
    return model
