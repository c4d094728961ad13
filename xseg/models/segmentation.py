"""Base class of segmentation models: configuration, padding, resizing, and other output strides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from xseg.encoders.variants import VARIANTS, encoder_spec
from xseg.encoders.xception import Encoder, XceptionEncoder
from xseg.models.config import ModelConfig
from xseg.nn.resize import pad, padded_size, resize
from xseg.types import OutputStride


def build_encoder(config: ModelConfig) -> Encoder:
    """Build the encoder of a model with random weights, from `xseg.list_encoders()` or SMP.

    Raises:
        ConfigError: if the encoder is unknown, or does not support the configuration.
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
    """Base class of models from images (N, in_channels, H, W) to logits (N, classes, H, W).

    An architecture computes coarse scores; padding and resizing are the same for all.

    Args:
        config: configuration of the model.

    Attributes:
        smallest: smallest height and width of an image; smaller images are padded.
        multiple: number to a multiple of which height and width are padded.
        stride: ratio of the image size to the size of the coarse scores, if pixel i of the scores is aligned with pixel
            stride * i of the image at any size; otherwise 1.
    """

    if TYPE_CHECKING:  # TorchScript reads annotations in a class body, and does not support Any
        encoder: Encoder
        decoder: Any
        segmentation_head: Any

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.smallest = self.multiple = self.stride = 1
        self.binary = config.binary

    def coarse(self, images: Tensor) -> Tensor:
        """Return the coarse class scores of padded images (N, in_channels, H, W).

        Returns:
            Logits (N, classes, h, w) at the resolution of the decoder, with corners aligned with the images.
        """
        raise NotImplementedError

    def class_logits(self, outputs: Tensor) -> Tensor:
        """Return logits (N, classes, h, w) of the last layer's outputs; a binary model's single z becomes 0 and z."""
        return torch.cat([torch.zeros_like(outputs), outputs], dim=1) if self.binary else outputs

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores of every pixel.

        Args:
            images: normalised images, (N, in_channels, H, W) float, with H and W from 33.

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
        """Return a model of the same class with another configuration and random weights."""
        return type(self)(config)

    @torch.jit.unused
    def with_output_stride(self, output_stride: OutputStride) -> Self:
        """Return a model with another output stride that shares the weights, with adapted atrous rates.

        Training one model changes both. A smaller output stride gives the same features on a denser grid.
        """
        with torch.device("meta"):
            other = self.rebuilt(self.config.at_output_stride(output_stride))
        other.load_state_dict(self.state_dict(keep_vars=True), assign=True)
        return other.train(self.training)
