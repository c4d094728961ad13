"""Whole models from weights of any origin, with optional changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import torch
from torch import nn

from xseg.bundles.bundle import Bundle
from xseg.errors import ConfigError
from xseg.images.normalization import Normalization
from xseg.labels.known import label_set
from xseg.labels.label_map import LabelMap
from xseg.models.build import build_model
from xseg.models.config import ModelConfig
from xseg.models.segmentation import SegmentationModel
from xseg.nn.initialization import repeat_kernels
from xseg.types import OutputStride, PathArgument
from xseg.weights.adapt import adapt_head
from xseg.weights.catalogue.download import locate
from xseg.weights.catalogue.entries import Entry, find_entry
from xseg.weights.convert import Conversion, convert, provenance
from xseg.weights.formats.read import read_source

FIRST_CONVOLUTION = "encoder.stem.conv1.conv.weight"


@dataclass(frozen=True)
class Changes:
    """Changes to a converted model.

    Args:
        classes: names of the outputs, if they are not those of a known set.
        adapt_head: names of new classes; classes with the same name keep their rows, others get new ones.
        in_channels: number of image channels, over which the first kernels are repeated.
        output_stride: ratio of the image size to the size of the encoder's last map.
        atrous_rates: three rates of the ASPP at this output stride.
        multi_grid: factors for the rates of the encoder's last block.
    """

    classes: tuple[str, ...] = ()
    adapt_head: tuple[str, ...] = ()
    in_channels: int | None = None
    output_stride: OutputStride | None = None
    atrous_rates: tuple[int, ...] = ()
    multi_grid: tuple[int, ...] = ()


def load_model(
    weights: PathArgument | nn.Module, *, encoder: str | None = None, changes: Changes | None = None
) -> Bundle[SegmentationModel]:
    """Load a whole model of any origin.

    Args:
        weights: file that `xseg convert` reads, name from the catalogue ("xception65/voc"), or model in memory.
        encoder: encoder of the model, if the name does not contain it.
        changes: changes to the model.

    Returns:
        The model with its classes, in evaluation mode; the notes of its provenance list the changes.

    Raises:
        WeightsError: if the weights cannot be found or read, or do not fit.
        ConfigError: if a change is not possible.
    """
    if isinstance(weights, nn.Module):
        return build_bundle(convert(read_source(weights)), changes or Changes())[0]
    path = locate(weights, encoder=encoder)
    entry = None if path == Path(weights) else find_entry(str(weights), encoder)
    return build_bundle(convert(read_source(path)), changes or Changes(), entry=entry)[0]


def build_bundle(
    conversion: Conversion, changes: Changes, *, entry: Entry | None = None
) -> tuple[Bundle[SegmentationModel], tuple[str, ...]]:
    """Build the model of converted weights.

    Args:
        conversion: converted weights.
        changes: changes to the model.
        entry: catalogue entry of the weights, if any.

    Returns:
        The model with its classes, in evaluation mode, and one line per change of its tensors.

    Raises:
        WeightsError: if a tensor does not fit.
        ConfigError: if a change is not possible.
    """
    config = conversion.config
    with torch.device("meta"):
        wanted = build_model(config).state_dict()
    state = conversion.model_state(wanted)
    labels = _labels(conversion, config, changes.classes)
    numbers, lines = conversion.plan.normalization, []
    if changes.adapt_head:
        adapted = adapt_head(state, config, labels, changes.adapt_head)
        state, config, labels = dict(adapted.state), adapted.config, adapted.labels
        lines.append(adapted.describe())
    if changes.in_channels not in (None, config.in_channels):
        lines.append(f"first convolution repeated from {config.in_channels} to {changes.in_channels} channels")
        config = replace(config, in_channels=changes.in_channels)
        state[FIRST_CONVOLUTION] = repeat_kernels(state[FIRST_CONVOLUTION], config.in_channels)
        mean, std = (tuple(islice(cycle(values), config.in_channels)) for values in (numbers.mean, numbers.std))
        numbers = Normalization(mean, std, numbers.maximum)
    with torch.device("meta"):
        model = build_model(_at(config, changes))
    model.load_state_dict(state, assign=True)
    origin = provenance(conversion, entry=entry, notes=tuple(lines))
    return Bundle(model.eval(), labels, numbers, origin), tuple(lines)


def _labels(conversion: Conversion, config: ModelConfig, names: tuple[str, ...]) -> LabelMap:
    if not names:
        return conversion.plan.labels or label_set(config.classes)[0]
    if len(names) != config.classes:
        got = f"{len(names)} names in classes for {config.classes} outputs"
        raise ConfigError(got, expected="one per output", remedy="use adapt_head for other classes")
    return LabelMap(names)


def _at(config: ModelConfig, changes: Changes) -> ModelConfig:
    """Return the configuration with the changed output stride and rates."""
    if changes.multi_grid:
        config = replace(config, multi_grid=changes.multi_grid)
    if changes.output_stride is not None:
        config = config.at_output_stride(changes.output_stride)
    return replace(config, atrous_rates=changes.atrous_rates) if changes.atrous_rates else config
