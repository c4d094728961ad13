"""From strides to strides and dilations: how a network is made denser without changing its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xseg.errors import ConfigError

STEM_STRIDE = 2


@dataclass(frozen=True)
class Grid:
    """Stride and dilation that a stage runs with."""

    stride: int
    dilation: int


def plan_strides(strides: Sequence[int], output_stride: int, stem_stride: int = STEM_STRIDE) -> tuple[Grid, ...]:
    """Return the stride and dilation of every stage, so that the last features have `output_stride`.

    Stages keep their stride until `output_stride` is reached. From there on each runs with stride 1 and the dilation
    so far, and hands its stride on as dilation: the stage that gives up its stride still runs with the old one.

    Args:
        strides: the stride of each stage at the network's nominal resolution.
        output_stride: size of the input over size of the last features.
        stem_stride: stride of what lies before the first stage.

    Raises:
        ConfigError: if the strides cannot give `output_stride`.

    Source: TF DeepLab `xception.py` `stack_blocks_dense`; Chen et al. 2017 (DeepLabV3), section 3.1.
    """
    reached, dilation = stem_stride, 1
    grids = []
    for stride in strides:
        if reached == output_stride:
            grids.append(Grid(1, dilation))
            dilation *= stride
        else:
            grids.append(Grid(stride, 1))
            reached *= stride
    if reached != output_stride:
        raise ConfigError(
            f"output_stride={output_stride} cannot be reached: strides {tuple(strides)} after a stem of {stem_stride} "
            f"give {reached}",
            expected="one of 4, 8, 16, 32",
        )
    return tuple(grids)
