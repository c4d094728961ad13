"""Xception encoders as frozen tables, validated on construction, and their strides and dilations at any density."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from xseg.errors import ConfigError, require
from xseg.nn.ablation import Ablation
from xseg.nn.norm import NormSpec
from xseg.nn.separable import ActivationPlacement, NormPlacement

Skip: TypeAlias = Literal["conv", "sum", "none"]
CHANNEL_DIVISOR = 8
MAX_DEPTH = 5
STEM_STRIDE = 2


def scale_channels(channels: int, width: float) -> int:
    """Return `channels` times `width`, rounded to the nearest multiple of 8 that is not 0."""
    return max(CHANNEL_DIVISOR, int(channels * width / CHANNEL_DIVISOR + 0.5) * CHANNEL_DIVISOR)


@dataclass(frozen=True)
class Stage:
    """One block: a sequence of separable convolutions and its skip connection.

    Args:
        widths: output channels of each separable convolution.
        stride: 2 if the block halves the resolution at the nominal output stride of 32, otherwise 1.
        skip: "conv" adds the input through a strided 1x1 convolution, "sum" adds it unchanged, "none" adds nothing.
            It does not depend on the output stride, so neither do the weights.
        activation: positions of the ReLUs, see `SeparableConv2d`.
        multi_grid: factor for the dilation of each convolution; empty for 1.

    Raises:
        ConfigError: if there is no convolution, or a strided block has no second one, whose output decoders use.
    """

    widths: tuple[int, ...]
    stride: Literal[1, 2] = 1
    skip: Skip = "sum"
    activation: ActivationPlacement = "before"
    multi_grid: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.multi_grid and (len(self.multi_grid) != len(self.widths) or min(self.multi_grid) < 1):
            got = f"multi_grid={self.multi_grid} for {len(self.widths)} convolutions"
            raise ConfigError(got, expected=f"{len(self.widths)} factors of 1 or more")
        if not self.widths or min(self.widths) < 1 or (self.stride == 2 and len(self.widths) < 2):
            raise ConfigError(f"a stage of widths {self.widths}", expected="at least 1 convolution, 2 with stride 2")
        if self.skip == "sum" and self.stride == 2:
            raise ConfigError("a strided stage with skip='sum'", expected="'conv' or 'none': the sizes differ")


@dataclass(frozen=True)
class EncoderSpec:
    """An Xception encoder, from the stem to the last features.

    Args:
        name: name of the encoder.
        stages: blocks in order, at least one; four of them with stride 2 in a whole encoder.
        norm: positions of batch normalisation, see `SeparableConv2d`.
        downsample: last operation of strided blocks, a strided "separable" convolution (DeepLab) or "max_pool"
            (Chollet 2017).
        tf_stem: padding of the stem with padding="tf_same": "valid" convolutions in Keras's Xception, a "same" one in
            Keras ports of DeepLab.
        batch_norm: epsilon and momentum of the batch normalisations.
        stem: channels of the two 3x3 convolutions before the first stage.
        ablation: changes to the separable convolutions.
        source: source of the table.

    Raises:
        ConfigError: if there is no stage, or a sum joins unequal channels.
    """

    name: str
    stages: tuple[Stage, ...]
    norm: NormPlacement
    downsample: Literal["separable", "max_pool"]
    tf_stem: Literal["valid", "same"]
    batch_norm: NormSpec
    source: str
    stem: tuple[int, int] = (32, 64)
    ablation: Ablation = field(default_factory=Ablation)

    def __post_init__(self) -> None:
        require(bool(self.stages), f"{self.name} without stages", "one or more")
        incoming = self.stem[1]
        for number, stage in enumerate(self.stages):
            if stage.skip == "sum" and stage.widths[-1] != incoming:
                got = f"stage {number} of {self.name} adds {incoming} channels to {stage.widths[-1]}"
                raise ConfigError(got, expected="equal channels, or skip='conv'")
            incoming = stage.widths[-1]

    @property
    def strides(self) -> tuple[int, ...]:
        """Nominal stride of each stage."""
        return tuple(stage.stride for stage in self.stages)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the feature maps after the input: one before each stride of 2, and the last one."""
        taps = [stage.widths[1] for stage in self.stages if stage.stride == 2]
        return (*taps, self.stages[-1].widths[-1])

    def scaled(self, width: float) -> EncoderSpec:
        """Return the same network with `width` times the channels, rounded to multiples of 8.

        Raises:
            ConfigError: if `width` is not a number above 0.
        """
        require(0 < width < math.inf, f"width={width}", "a multiplier above 0")
        if width == 1:
            return self
        widths = [tuple(scale_channels(channels, width) for channels in stage.widths) for stage in self.stages]
        stages = tuple(replace(stage, widths=scaled) for stage, scaled in zip(self.stages, widths, strict=True))
        return replace(
            self, stages=stages, stem=(scale_channels(self.stem[0], width), scale_channels(self.stem[1], width))
        )

    def with_ablation(self, ablation: Ablation) -> EncoderSpec:
        """Return the same network with changed separable convolutions, or without residual connections.

        Source: Chollet 2017, sections 1.2, 4.6 and 4.7.
        """
        stages = tuple(stage if ablation.residual else replace(stage, skip="none") for stage in self.stages)
        return replace(self, stages=stages, ablation=ablation)

    def with_norm(self, eps: float | None, momentum: float | None) -> EncoderSpec:
        """Return the same network with another epsilon and momentum of its normalisations; None keeps its own."""
        own = self.batch_norm
        norm = NormSpec(own.eps if eps is None else eps, own.momentum if momentum is None else momentum)
        return replace(self, batch_norm=norm)

    def with_multi_grid(self, multi_grid: tuple[int, ...]) -> EncoderSpec:
        """Return the same network with the dilation of each convolution in the last block multiplied.

        Raises:
            ConfigError: if the last block has another number of convolutions; a grid of ones fits any block.

        Source: Chen et al. 2017 (DeepLabV3), section 3.2; TF DeepLab `unit_rate_list`.
        """
        if set(multi_grid) <= {1}:
            return self
        return replace(self, stages=(*self.stages[:-1], replace(self.stages[-1], multi_grid=multi_grid)))

    def truncated(self, depth: int) -> EncoderSpec:
        """Return the network up to its `depth`-th feature map, without the parts after it.

        A map before a stride of 2 is the output of a block's second separable convolution; the rest is cut off.

        Raises:
            ConfigError: if `depth` is not 1 to 5.
        """
        require(1 <= depth <= MAX_DEPTH, f"depth={depth}", f"1 to {MAX_DEPTH}")
        strided = [number for number, stage in enumerate(self.stages) if stage.stride == 2]
        if depth > len(strided):
            return self
        last = strided[depth - 1]
        cut = replace(self.stages[last], widths=self.stages[last].widths[:2], stride=1, skip="none")
        return replace(self, stages=(*self.stages[:last], cut))


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
