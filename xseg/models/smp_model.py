"""SMP's decoders with any encoder."""

from __future__ import annotations

from typing import Any

import segmentation_models_pytorch as smp
from segmentation_models_pytorch import encoders as smp_encoders
from torch import Tensor, nn

from xseg.encoders.variants import VARIANTS
from xseg.errors import ConfigError, require
from xseg.models.architectures import SMP_DECODERS, SmpDecoder
from xseg.models.config import ModelConfig
from xseg.models.deeplabv3plus import default_rates
from xseg.models.segmentation import SegmentationModel, build_encoder
from xseg.models.smp_encoders import SmpEncoder
from xseg.nn.initialization import off_the_meta_device

UNET_CHANNELS = (256, 128, 64, 32, 16)  # SMP's default


class SmpModel(SegmentationModel):
    """One of SMP's models with any encoder, for images of any size.

    The weights have SMP's names. Images are padded at the right and bottom, by repeating the border, to the multiple
    that the decoder needs, and the logits are cropped to the size of the images.

    Args:
        config: configuration of the model.

    Raises:
        ConfigError: if the decoder does not support the output stride or depth.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        decoder = SMP_DECODERS[config.architecture]
        _check(config, decoder)
        arguments = _arguments(config, decoder)
        if config.encoder in VARIANTS:
            network = getattr(smp, decoder.name)(_register(config.encoder, config.width), **arguments)
            self.encoder = build_encoder(config)
        else:
            self.encoder = build_encoder(config)
            try:
                with off_the_meta_device():
                    network = getattr(smp, decoder.name)(config.encoder, **arguments)
            except ValueError as error:
                raise ConfigError(f"{config.architecture} with encoder {config.encoder!r}: {error}") from error
        self.decoder = network.decoder
        self.segmentation_head = network.segmentation_head
        last = self.segmentation_head[1]
        if isinstance(last, nn.Upsample) and last.mode == "bilinear" and last.align_corners is True:
            self.segmentation_head[1] = nn.Identity()  # the model's own last resize does the same
        self.multiple = 2**config.depth
        self.smallest = decoder.smallest_map * self.encoder.output_stride

    def coarse(self, images: Tensor) -> Tensor:
        """Return logits (N, classes, h, w) of images (N, in_channels, H, W) with sides of multiples of `multiple`."""
        return self.class_logits(self.segmentation_head(self.decoder(self.encoder(images))))


def _check(config: ModelConfig, decoder: SmpDecoder) -> None:
    allowed = [stride for stride in decoder.output_strides if not decoder.pyramid or stride >= min(2**config.depth, 32)]
    if config.output_stride not in allowed:
        got = f"output_stride={config.output_stride} with {config.architecture} at depth {config.depth}"
        remedy = "its decoder doubles the resolution map by map" if decoder.pyramid else ""
        raise ConfigError(got, expected=" or ".join(str(stride) for stride in sorted(allowed)), remedy=remedy)
    require(config.depth >= 3, f"depth={config.depth} with {config.architecture}", "3 to 5")


def _arguments(config: ModelConfig, decoder: SmpDecoder) -> dict[str, Any]:
    """Return the arguments of SMP's constructor, which also builds an encoder that is then replaced."""
    arguments: dict[str, Any] = {
        "encoder_depth": config.depth,
        "encoder_weights": None,
        "in_channels": config.in_channels,
        "classes": config.outputs,
    }
    if decoder.stride_argument:
        arguments["encoder_output_stride"] = config.output_stride
    if decoder.rates_argument:
        arguments["decoder_atrous_rates"] = config.atrous_rates or default_rates(config.output_stride)
    if decoder.channels_argument:
        arguments["decoder_channels"] = UNET_CHANNELS[: config.depth]
    if decoder.upsampling_argument:
        arguments["upsampling"] = min(config.output_stride, 2**config.depth)
    return arguments


def _register(name: str, width: float) -> str:
    """Register an encoder with SMP for the models of this package, and return its name there."""
    registered = f"xseg model: {name}@{width:g}"
    parts = {"encoder": SmpEncoder, "pretrained_settings": {}, "params": {"name": name, "width": width}}
    smp_encoders.encoders.setdefault(registered, parts)
    return registered
