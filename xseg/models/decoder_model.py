"""The user's own decoder with any encoder, and the user's own model."""

from __future__ import annotations

import copy
import math
from typing import Any, Self

from torch import Tensor, nn

from xseg.errors import ConfigError, ShapeError
from xseg.models.config import ModelConfig
from xseg.models.segmentation import SegmentationModel, build_encoder
from xseg.nn.initialization import off_the_meta_device


class DecoderModel(SegmentationModel):
    """An encoder with a decoder from outside the package; see `xseg.models.architectures` for its interface.

    Args:
        config: configuration of the model.
        decoder_class: class of the decoder.

    Raises:
        ConfigError: if the decoder cannot be built.
    """

    def __init__(self, config: ModelConfig, decoder_class: type[nn.Module]) -> None:
        super().__init__(config)
        self.decoder_class = decoder_class
        self.encoder = build_encoder(config)
        channels, strides = list(self.encoder.out_channels), list(self.encoder.strides)
        try:
            with off_the_meta_device():
                self.decoder = decoder_class(channels, strides=strides, classes=config.outputs)
        except (TypeError, ValueError) as error:
            got = f"architecture={config.architecture!r} cannot be built: {error}"
            raise ConfigError(got, expected="Class(encoder_channels, strides=..., classes=...)") from error
        if not isinstance(self.decoder, nn.Module):
            raise ConfigError(f"architecture={config.architecture!r} is not a torch.nn.Module", expected="a decoder")
        self.segmentation_head = nn.Identity()
        self.multiple = math.lcm(self.encoder.multiple, int(getattr(self.decoder, "multiple", 1)))

    def rebuilt(self, config: ModelConfig) -> Self:
        """Return a model with the same decoder and another configuration."""
        return type(self)(config, self.decoder_class)

    def coarse(self, images: Tensor) -> Tensor:
        """Return logits (N, classes, h, w) of images (N, in_channels, H, W), at the resolution of the decoder.

        Raises:
            ShapeError: if the decoder returns anything else.
        """
        logits: Tensor = self.decoder(self.encoder(images))
        if logits.ndim != 4 or logits.shape[1] != self.config.outputs:
            got = f"{self.config.architecture} returns logits of shape {list(logits.shape)}"
            raise ShapeError(got, expected=f"(N, {self.config.outputs}, height, width), one channel per class")
        return self.class_logits(logits)


class OwnModel(DecoderModel):
    """A copy of a user's own model, as the decoder of an encoder that does nothing.

    Args:
        config: configuration of the model, whose options of encoder and decoder do not apply.
        module: network from normalised images (N, in_channels, H, W) to logits (N, classes, h, w) of any resolution.

    Raises:
        ConfigError: if the module cannot be copied.
    """

    def __init__(self, config: ModelConfig, module: nn.Module) -> None:
        SegmentationModel.__init__(self, config)
        self.encoder: Any = nn.Identity()
        try:
            with off_the_meta_device():
                self.decoder = copy.deepcopy(module)
        except (RuntimeError, TypeError) as error:
            raise ConfigError(f"{config.architecture} cannot be copied: {error}") from error
        self.segmentation_head = nn.Identity()
        self.multiple = int(getattr(module, "multiple", 1))

    def rebuilt(self, config: ModelConfig) -> Self:
        """Return a copy with another configuration.

        Raises:
            ConfigError: if the output stride differs, which is fixed by the user's model.
        """
        if config.output_stride != self.config.output_stride:
            got = f"output_stride={config.output_stride} with your own model {self.config.architecture}"
            raise ConfigError(got, expected="none")
        return type(self)(config, self.decoder)
