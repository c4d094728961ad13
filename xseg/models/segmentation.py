"""What every segmentation model has: a configuration, padding, and the same weights at another output stride."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from xseg.encoders.encoder import Encoder
from xseg.encoders.variants import VARIANTS, encoder_spec
from xseg.encoders.xception import XceptionEncoder
from xseg.models.config import ModelConfig
from xseg.nn.resize import pad, padded_size, resize
from xseg.types import OutputStride


def build_encoder(config: ModelConfig) -> Encoder:
    """Build the encoder of a model, with random weights: one of `xseg.list_encoders()`, or of SMP.

    Raises:
        ConfigError: if there is no such encoder, or it cannot be what the configuration says.
    """
    if config.encoder not in VARIANTS:
        from xseg.models.smp_encoders import build_smp_encoder  # SMP takes seconds to import

        return build_smp_encoder(config)
    spec = encoder_spec(config.encoder).scaled(config.width).with_multi_grid(config.multi_grid)
    return XceptionEncoder(
        spec.with_ablation(config.ablation).with_norm(config.encoder_norm_eps, config.encoder_norm_momentum),
        in_channels=config.in_channels,
        depth=config.depth,
        output_stride=config.output_stride,
        padding=config.padding,
    )


class SegmentationModel(nn.Module):
    """Base of the models: images (N, in_channels, H, W) to logits (N, classes, H, W).

    An architecture computes coarse scores; padding before and resizing after are the same for all.

    Args:
        config: everything that is needed to build the model again.

    Attributes:
        smallest: least number of rows and columns of an image; smaller ones are padded.
        multiple: number that rows and columns are padded to a multiple of.
        stride: size of an image over size of its coarse scores, where pixel i of these lies over pixel stride * i of
            the image at any size; 1 where that does not hold.
    """

    if TYPE_CHECKING:  # TorchScript reads annotations of a class body, and knows no Any
        encoder: Encoder
        decoder: Any
        segmentation_head: Any

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.smallest = self.multiple = self.stride = 1

    def coarse(self, images: Tensor) -> Tensor:
        """Score padded images (N, in_channels, H, W) for every class.

        Returns:
            Logits (N, classes, h, w) of the decoder's resolution, whose corners lie over the images' corners.
        """
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Score every pixel for every class.

        Args:
            images: (N, in_channels, H, W) float, normalised; any H and W from 33 up.

        Returns:
            Logits (N, classes, H, W).
        """
        height, width = images.shape[-2], images.shape[-1]
        rows = padded_size(height, smallest=self.smallest, multiple=self.multiple)
        columns = padded_size(width, smallest=self.smallest, multiple=self.multiple)
        logits = resize(self.coarse(pad(images, rows, columns)), rows, columns)
        return logits if (rows, columns) == (height, width) else logits[..., :height, :width]

    @torch.jit.unused
    def rebuilt(self, config: ModelConfig) -> Self:
        """Return a model of the same kind with random weights, of another configuration."""
        return type(self)(config)

    @torch.jit.unused
    def with_output_stride(self, output_stride: OutputStride) -> Self:
        """Return a model of another output stride that shares this one's weights; atrous rates follow.

        Training either changes both. A smaller output stride computes the same features on a denser grid.
        """
        with torch.device("meta"):
            other = self.rebuilt(self.config.at_output_stride(output_stride))
        other.load_state_dict(self.state_dict(keep_vars=True), assign=True)
        return other.train(self.training)
