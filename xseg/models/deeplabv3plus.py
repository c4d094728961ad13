"""DeepLabV3+ as in Chen et al. 2018 and TF DeepLab."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xseg.errors import ConfigError
from xseg.models.config import ModelConfig
from xseg.models.segmentation import SegmentationModel, build_encoder
from xseg.nn.aspp import ASPP, ConvNormRelu
from xseg.nn.initialization import initialize
from xseg.nn.norm import NormSpec
from xseg.nn.resize import resize
from xseg.nn.separable import SeparableConv2d

LOW_LEVEL = 2  # index of the stride-4 map
LOW_LEVEL_CHANNELS = 48  # Chen et al. 2018, Table 1
BASE_RATES = (6, 12, 18)  # at output stride 16; Chen et al. 2017 (DeepLabV3), section 4.1


def default_rates(output_stride: int) -> tuple[int, int, int]:
    """Return the atrous rates that cover the same context at every output stride.

    Source: TF DeepLab g3doc: (6, 12, 18) at output stride 16, (12, 24, 36) at 8, (3, 6, 9) at 32.
    """
    first, second, third = (rate * 16 // output_stride for rate in BASE_RATES)
    return first, second, third


class DeepLabV3PlusDecoder(nn.Module):
    """ASPP on the last map, joined with the projected stride-4 map and refined.

    Args:
        low_channels: channels of the stride-4 map.
        high_channels: channels of the last map.
        config: configuration of the model.
        rates: atrous rates of the ASPP.
    """

    def __init__(self, low_channels: int, high_channels: int, *, config: ModelConfig, rates: tuple[int, ...]) -> None:
        super().__init__()
        channels = config.decoder_channels
        spec = NormSpec(eps=config.decoder_norm_eps, momentum=config.decoder_norm_momentum)
        self.aspp: nn.Module = nn.Identity()
        self.low_projection: nn.Module = nn.Identity()
        self.refine: nn.Module = nn.Identity()
        self.refines = config.decoder
        self.out_channels = high_channels
        if config.aspp:
            dropout, pooling = config.dropout, config.image_pooling
            self.aspp = ASPP(high_channels, channels, rates=rates, spec=spec, dropout=dropout, image_pooling=pooling)
            self.out_channels = channels
        if config.decoder:
            joined = self.out_channels + LOW_LEVEL_CHANNELS
            self.low_projection = ConvNormRelu(low_channels, LOW_LEVEL_CHANNELS, spec=spec)
            self.refine = nn.Sequential(
                SeparableConv2d(joined, channels, norm="each", activation="after", spec=spec),
                SeparableConv2d(channels, channels, norm="each", activation="after", spec=spec),
            )
            self.out_channels = channels

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Fuse detail and context into decoder features.

        Args:
            low: stride-4 map, (N, low_channels, h, w).
            high: last map, (N, high_channels, h', w'), not finer than `low`.

        Returns:
            Features (N, out_channels, h, w), or at the size of the last map without a decoder; not yet class scores.

        Source: Chen et al. 2018, section 3.1 and Table 2 (two 3x3 convolutions of 256 channels).
        """
        context: Tensor = self.aspp(high)
        if not self.refines:
            return context
        context = resize(context, low.shape[-2], low.shape[-1])
        output: Tensor = self.refine(torch.cat([context, self.low_projection(low)], dim=1))
        return output


class DeepLabV3Plus(SegmentationModel):
    """An encoder with the DeepLabV3+ decoder.

    Args:
        config: configuration of the model; `depth` is 3 to 5.

    Raises:
        ConfigError: if the encoder is too shallow, or a value is out of range.

    Source: Chen et al. 2018; TF DeepLab `model.py`. Initialisation: truncated normal of standard deviation 0.33
    (depthwise), 0.06 (pointwise) and 0.01 (logits).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        if config.depth <= LOW_LEVEL:
            raise ConfigError(f"depth={config.depth} with DeepLabV3+", expected="3 to 5, for a map beyond stride 4")
        self.encoder = build_encoder(config)
        self.multiple = self.encoder.multiple
        self.stride = self.encoder.strides[LOW_LEVEL if config.decoder else -1] if self.multiple == 1 else 1
        self.decoder = DeepLabV3PlusDecoder(
            self.encoder.out_channels[LOW_LEVEL],
            self.encoder.out_channels[-1],
            config=config,
            rates=default_rates(self.encoder.output_stride) if config.atrous_rates is None else config.atrous_rates,
        )
        self.segmentation_head = nn.Conv2d(self.decoder.out_channels, config.outputs, 1)
        initialize(self.decoder, depthwise=0.33, pointwise=0.06)
        initialize(self.segmentation_head, depthwise=0.01, pointwise=0.01)

    def coarse(self, images: Tensor) -> Tensor:
        """Return logits (N, classes, h, w) of images (N, in_channels, H, W) at `stride`."""
        features = self.encoder(images)
        return self.class_logits(self.segmentation_head(self.decoder(features[2], features[-1])))
