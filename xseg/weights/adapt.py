"""Adapt a model's head to other classes; classes with the same name keep their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from xseg.errors import WeightsError
from xseg.labels.label_map import LabelMap, distinct_colors
from xseg.models.config import ModelConfig

WEIGHT, BIAS = "segmentation_head.weight", "segmentation_head.bias"
NEW_STD = 0.01  # TF DeepLab model.py: truncated normal for the logits


@dataclass(frozen=True)
class AdaptedHead:
    """A model's state and classes with an adapted head, and the names of rows that were kept, drawn and removed."""

    state: Mapping[str, Tensor]
    config: ModelConfig
    labels: LabelMap
    reused: tuple[str, ...]
    fresh: tuple[str, ...]
    discarded: tuple[str, ...]

    def describe(self) -> str:
        """Return a one-line summary of the change."""
        return (
            f"head adapted from {len(self.reused) + len(self.discarded)} to {len(self.labels)} classes: "
            f"{len(self.reused)} rows reused by name ({', '.join(self.reused) or 'none'}), "
            f"{len(self.fresh)} new and random ({', '.join(self.fresh) or 'none'})"
        )


def adapt_head(
    state: Mapping[str, Tensor], config: ModelConfig, labels: LabelMap, names: Sequence[str], *, seed: int = 0
) -> AdaptedHead:
    """Adapt a model's head to other classes.

    Args:
        state: state of the whole model.
        config: configuration of the model.
        labels: classes of the model.
        names: new classes, in order; compared without regard to case.
        seed: random seed of the new rows: truncated normal of standard deviation 0.01, bias 0.

    Raises:
        WeightsError: if the head is not a single 1x1 convolution with one row per class.
        ConfigError: if a name is repeated.
    """
    weight, bias = state.get(WEIGHT), state.get(BIAS)
    if weight is None or bias is None or weight.shape[0] != len(labels):
        got = f"the head of {config.architecture} does not have one row per class"
        raise WeightsError(got, expected="a DeepLabV3+ model with a 1x1 head")
    known = {name.casefold(): index for index, name in enumerate(labels.names)}
    rows = [known.get(name.casefold()) for name in names]
    spare = iter(distinct_colors(len(names)))
    colors = tuple(next(spare) if row is None else labels.colors[row] for row in rows)
    adapted = LabelMap(tuple(names), colors, labels.ignore_index)
    drawn, shifts = torch.empty(len(names), *weight.shape[1:]), torch.zeros(len(names))
    generator = torch.Generator().manual_seed(seed)
    torch.nn.init.trunc_normal_(drawn, std=NEW_STD, a=-2 * NEW_STD, b=2 * NEW_STD, generator=generator)
    for new, old in enumerate(rows):
        if old is not None:
            drawn[new], shifts[new] = weight[old], bias[old]
    return AdaptedHead(
        {**state, WEIGHT: drawn, BIAS: shifts},
        replace(config, classes=len(names)),
        adapted,
        tuple(name for name, row in zip(names, rows, strict=True) if row is not None),
        tuple(name for name, row in zip(names, rows, strict=True) if row is None),
        tuple(name for index, name in enumerate(labels.names) if index not in rows),
    )
