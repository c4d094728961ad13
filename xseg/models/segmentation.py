"""What every segmentation model here has: its configuration, and the same weights at another output stride."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from xseg.encoders.variants import encoder_spec
from xseg.encoders.xception import XceptionEncoder
from xseg.models.config import ModelConfig
from xseg.types import OutputStride


def build_encoder(config: ModelConfig) -> XceptionEncoder:
    """Build the encoder of a model, with random weights."""
    spec = encoder_spec(config.encoder).scaled(config.width).with_multi_grid(config.multi_grid)
    spec = spec.with_ablation(config.ablation)
    norm = spec.batch_norm
    if config.encoder_norm_eps is not None:
        norm = replace(norm, eps=config.encoder_norm_eps)
    if config.encoder_norm_momentum is not None:
        norm = replace(norm, momentum=config.encoder_norm_momentum)
    return XceptionEncoder(
        replace(spec, batch_norm=norm),
        in_channels=config.in_channels,
        depth=config.depth,
        output_stride=config.output_stride,
        padding=config.padding,
    )


class SegmentationModel(nn.Module):
    """Base of the models: images (N, in_channels, H, W) to logits (N, classes, H, W).

    Args:
        config: everything that is needed to build the model again.
    """

    if TYPE_CHECKING:  # TorchScript reads annotations of a class body, and knows no Any
        encoder: XceptionEncoder
        decoder: Any
        segmentation_head: Any

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    @torch.jit.unused
    def with_output_stride(self, output_stride: OutputStride) -> Self:
        """Return a model of another output stride that shares this one's weights; atrous rates follow.

        Training either changes both. A smaller output stride computes the same features on a denser grid.
        """
        with torch.device("meta"):
            other = type(self)(self.config.at_output_stride(output_stride))
        other.load_state_dict(self.state_dict(keep_vars=True), assign=True)
        return other.train(self.training)
