"""Strides and dilations that make a network denser without changing its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xseg.errors import ConfigError

STEM_STRIDE = 2


@dataclass(frozen=True)
class Grid:
    """Stride and dilation of a stage."""

    stride: int
    dilation: int


def plan_strides(strides: Sequence[int], output_stride: int, stem_stride: int = STEM_STRIDE) -> tuple[Grid, ...]:
    """Return the stride and dilation of every stage, so that the last features have `output_stride`.

    Stages keep their stride until `output_stride` is reached. After that, each stage runs with stride 1 and the current
    dilation, and multiplies the dilation of the following stages by its stride.

    Args:
        strides: stride of each stage at the nominal resolution.
        output_stride: ratio of the image size to the size of the last features.
        stem_stride: stride before the first stage.

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
