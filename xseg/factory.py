"""The public factories: build a network, then load weights into it."""

from __future__ import annotations

from dataclasses import replace

from xseg.bundles.pretrained_classifier import pretrained_classifier
from xseg.encoders.variants import encoder_spec
from xseg.encoders.xception import XceptionEncoder
from xseg.models.architectures import build_model, default_output_stride
from xseg.models.classifier import ClassifierConfig, XceptionClassifier
from xseg.models.config import Architecture, ModelConfig
from xseg.models.segmentation import SegmentationModel
from xseg.nn.ablation import Ablation
from xseg.types import OutputStride, Padding, PathArgument
from xseg.weights.load import load_encoder_weights


def create_encoder(
    name: str,
    *,
    weights: PathArgument | None = None,
    in_channels: int = 3,
    depth: int = 5,
    output_stride: OutputStride = 32,
    padding: Padding = "symmetric",
    width: float = 1.0,
    ablation: Ablation | None = None,
) -> XceptionEncoder:
    """Create an Xception encoder.

    Args:
        name: one of `xseg.list_encoders()`.
        weights: None for random ones, or a file of weights.
        in_channels: number of input channels; pretrained first kernels are repeated over them.
        depth: number of maps after the input, 1 to 5.
        output_stride: size of the image over size of the last map: 4, 8, 16 or 32.
        padding: "symmetric", or "tf_same" for features equal to Keras's.
        width: multiplier of the channels, rounded to 8; pretrained weights need 1.
        ablation: how it differs from its table, for the paper's studies; pretrained weights need None.

    Returns:
        A module that maps images (N, in_channels, H, W), normalised, to a list of depth + 1 maps, with SMP's
        attributes `out_channels` and `output_stride`.

    Raises:
        ConfigError: if an argument is out of range.
        WeightsError: if the weights cannot be read or do not fit.
    """
    encoder = XceptionEncoder(
        encoder_spec(name).scaled(width).with_ablation(ablation or Ablation()),
        in_channels=in_channels,
        depth=depth,
        output_stride=output_stride,
        padding=padding,
    )
    if weights is not None:
        load_encoder_weights(encoder, weights)
    return encoder


def create_model(
    architecture: Architecture = "deeplabv3plus",
    *,
    encoder: str = "xception65",
    encoder_weights: PathArgument | None = None,
    classes: int = 21,
    in_channels: int = 3,
    output_stride: OutputStride | None = None,
    depth: int = 5,
    padding: Padding = "symmetric",
    width: float = 1.0,
    decoder_channels: int = 256,
    atrous_rates: tuple[int, ...] | None = None,
    dropout: float = 0.1,
    decoder: bool = True,
    aspp: bool = True,
    image_pooling: bool = True,
    multi_grid: tuple[int, ...] = (1, 1, 1),
    ablation: Ablation | None = None,
) -> SegmentationModel:
    """Create a segmentation model.

    Args:
        architecture: "deeplabv3plus" is the paper's; the others are SMP's decoders.
        encoder: one of `xseg.list_encoders()`.
        encoder_weights: None for random ones, or a file of weights.
        classes: number of output channels.
        in_channels: number of input channels.
        output_stride: size of the image over size of the encoder's last map; by default what the architecture is
            best known at, 16 for DeepLabV3+.
        depth: number of times the encoder may halve the resolution, 3 to 5.
        padding: "symmetric", or "tf_same".
        width: multiplier of the encoder's channels, rounded to 8.
        decoder_channels: channels of DeepLabV3+'s ASPP and decoder.
        atrous_rates: DeepLabV3+'s rates; by default they follow the output stride.
        dropout: share of DeepLabV3+'s ASPP output dropped in training.
        decoder: False for DeepLabV3+ without its decoder, which is DeepLabV3 (the paper's ablation).
        aspp: False for DeepLabV3+ without its ASPP.
        image_pooling: False for an ASPP without the branch of the whole image (the paper's best on Cityscapes).
        multi_grid: factors of the dilations of the encoder's last block, one per convolution.
        ablation: how the encoder differs from its table, for the paper's studies.

    Returns:
        A module that maps images (N, in_channels, H, W), normalised, to logits (N, classes, H, W), for any H and W
        from 33 up.

    Raises:
        ConfigError: if an argument is out of range, or the parts do not fit together.
        WeightsError: if the weights cannot be read or do not fit.
    """
    config = ModelConfig(
        architecture=architecture,
        encoder=encoder,
        classes=classes,
        in_channels=in_channels,
        output_stride=default_output_stride(architecture) if output_stride is None else output_stride,
        depth=depth,
        padding=padding,
        width=width,
        decoder_channels=decoder_channels,
        atrous_rates=atrous_rates,
        dropout=dropout,
        decoder=decoder,
        aspp=aspp,
        image_pooling=image_pooling,
        multi_grid=multi_grid,
        ablation=ablation or Ablation(),
    )
    model = build_model(config)
    if encoder_weights is not None:
        norm = load_encoder_weights(model.encoder, encoder_weights)
        model.config = replace(config, encoder_norm_eps=norm.eps, encoder_norm_momentum=norm.momentum)
    return model


def create_classifier(
    encoder: str = "xception",
    *,
    weights: PathArgument | None = None,
    classes: int | None = None,
    in_channels: int = 3,
    fully_connected: tuple[int, ...] | None = None,
    dropout: float = 0.5,
    padding: Padding = "symmetric",
    width: float = 1.0,
    ablation: Ablation | None = None,
) -> XceptionClassifier:
    """Create an image classifier.

    Args:
        encoder: one of `xseg.list_encoders()`.
        weights: None for random ones; or a file of weights, or a classification run. Where it has dense layers behind
            pooling, they are taken too, unless `classes` or `fully_connected` ask for others.
        classes: number of outputs; None for as many as the weights have, or 1000.
        in_channels: number of input channels; pretrained first kernels are repeated over them.
        fully_connected: units of each layer between pooling and the outputs, (4096, 4096) in the paper's JFT
            experiments; None for those of the weights, or none.
        dropout: share of the outputs' input that is dropped while training.
        padding: "symmetric", or "tf_same" for outputs equal to Keras's.
        width: multiplier of the encoder's channels, rounded to 8; pretrained weights need their own.
        ablation: how the encoder differs from its table; pretrained weights need their own.

    Returns:
        A module that maps images (N, in_channels, H, W), normalised, to logits (N, classes).

    Raises:
        ConfigError: if an argument is out of range.
        WeightsError: if the weights cannot be read or do not fit.
    """
    config = ClassifierConfig(
        encoder=encoder,
        classes=1000 if classes is None else classes,
        in_channels=in_channels,
        fully_connected=fully_connected or (),
        dropout=dropout,
        padding=padding,
        width=width,
        ablation=ablation or Ablation(),
    )
    if weights is None:
        return XceptionClassifier(config)
    return pretrained_classifier(config, weights, any_head=(classes is None, fully_connected is None))
