"""Public factories of encoders, segmentation models and classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from torch import nn

from xseg.bundles.pretrained_classifier import pretrained_classifier
from xseg.encoders.xception import Encoder, XceptionEncoder
from xseg.files.description import described_by
from xseg.models.architectures import ArchitectureArgument, resolve_architecture
from xseg.models.build import build_model
from xseg.models.classifier import ClassifierConfig, XceptionClassifier
from xseg.models.config import ModelConfig, ModelOptions
from xseg.models.segmentation import SegmentationModel, build_encoder
from xseg.nn.ablation import Ablation
from xseg.types import OutputStride, Padding, PathArgument
from xseg.weights.load import load_encoder_weights
from xseg.weights.smp import load_smp_encoder

Config = TypeVar("Config", ModelConfig, ModelOptions, ClassifierConfig)


def _configured(kind: type[Config], given: Mapping[str, Any]) -> Config:
    """Return the configuration with those of the given values that are its fields; no ablation is the default one."""
    values = {field.name: given[field.name] for field in fields(kind) if field.name in given}
    return kind(**{**values, "ablation": values["ablation"] or Ablation()})


@described_by(ModelConfig)
def create_encoder(
    name: str,
    *,
    weights: PathArgument | None = None,
    in_channels: int = ModelConfig.in_channels,
    depth: int = ModelOptions.depth,
    output_stride: OutputStride = 32,
    padding: Padding = ModelOptions.padding,
    width: float = ModelOptions.width,
    ablation: Ablation | None = None,
) -> Encoder:
    """Create an encoder by `name`: one of `xseg.list_encoders()`, or one of SMP, such as "resnet34".

    The weights are random, or loaded from `weights`, a file or a name from the catalogue. For another number of
    channels, pretrained first kernels are repeated; pretrained weights need their own width and ablation. The other
    arguments are those of `xseg.models.config.ModelConfig`.

    Returns:
        A module from normalised images (N, in_channels, H, W) to a list of depth + 1 feature maps, with SMP's
        attributes `out_channels` and `output_stride`.

    Raises:
        ConfigError: if an argument is out of range.
        WeightsError: if the weights cannot be read or do not fit.
    """
    config = _configured(ModelConfig, {**locals(), "encoder": name})
    encoder = build_encoder(config)
    if weights is not None:
        _load_weights(encoder, config, weights)
    return encoder


@described_by(ModelOptions, ModelConfig)
def create_model(
    architecture: ArchitectureArgument = ModelOptions.architecture,
    *,
    encoder: str = ModelOptions.encoder,
    encoder_weights: PathArgument | None = None,
    classes: int = ModelConfig.classes,
    in_channels: int = ModelConfig.in_channels,
    output_stride: OutputStride | None = ModelOptions.output_stride,
    depth: int = ModelOptions.depth,
    padding: Padding = ModelOptions.padding,
    width: float = ModelOptions.width,
    decoder_channels: int = ModelOptions.decoder_channels,
    atrous_rates: tuple[int, ...] | None = ModelOptions.atrous_rates,
    dropout: float = ModelOptions.dropout,
    decoder: bool = ModelOptions.decoder,
    aspp: bool = ModelOptions.aspp,
    image_pooling: bool = ModelOptions.image_pooling,
    multi_grid: tuple[int, ...] = ModelOptions.multi_grid,
    ablation: Ablation | None = None,
    binary: bool = ModelOptions.binary,
) -> SegmentationModel:
    """Create a segmentation model.

    The weights are random; those of the encoder may be loaded from `encoder_weights`, a file or a name from the
    catalogue. For another number of channels, pretrained first kernels are repeated. The other arguments are those of
    `xseg.models.config.ModelConfig`, except that `architecture` may also be a decoder class or a model.

    Returns:
        A module from normalised images (N, in_channels, H, W) to logits (N, classes, H, W), for H and W from 33.

    Raises:
        ConfigError: if an argument is out of range, or the parts do not fit together.
        WeightsError: if the weights cannot be read or do not fit.
    """
    name, own_decoder = resolve_architecture(architecture)
    options = _configured(ModelOptions, {**locals(), "architecture": name})
    config = options.model_config(classes=classes, in_channels=in_channels)
    return pretrained_model(config, encoder_weights, own_decoder)


def pretrained_model(
    config: ModelConfig, encoder_weights: PathArgument | None, decoder: type[nn.Module] | nn.Module | None = None
) -> SegmentationModel:
    """Build a model, and load weights into its encoder, if any.

    Args:
        config: configuration of the model.
        encoder_weights: file or name of the weights; None for random weights.
        decoder: class of the decoder, or a whole model, if the configuration has a class path.

    Raises:
        ConfigError: if the parts do not fit together.
        WeightsError: if the weights cannot be read or do not fit.
    """
    model = build_model(config, decoder)
    if encoder_weights is not None:
        model.config = _load_weights(model.encoder, config, encoder_weights)
    return model


def _load_weights(encoder: Encoder, config: ModelConfig, weights: PathArgument) -> ModelConfig:
    """Load weights into an encoder, and return the configuration with epsilon and momentum of its normalisations."""
    if isinstance(encoder, XceptionEncoder):
        norm = load_encoder_weights(encoder, weights)
        return replace(config, encoder_norm_eps=norm.eps, encoder_norm_momentum=norm.momentum)
    load_smp_encoder(encoder, config, weights)
    return config


@described_by(ClassifierConfig)
def create_classifier(
    encoder: str = ClassifierConfig.encoder,
    *,
    weights: PathArgument | None = None,
    classes: int | None = None,
    in_channels: int = ClassifierConfig.in_channels,
    fully_connected: tuple[int, ...] | None = None,
    dropout: float = ClassifierConfig.dropout,
    padding: Padding = ClassifierConfig.padding,
    width: float = ClassifierConfig.width,
    ablation: Ablation | None = None,
) -> XceptionClassifier:
    """Create an image classifier.

    The weights are random, or loaded from `weights`: a file, a name from the catalogue, or a classification run. Dense
    layers are loaded too, unless `classes` or `fully_connected` differ; without weights, the defaults are 1000 classes
    and no fully connected layers. For another number of channels, pretrained first kernels are repeated; pretrained
    weights need their own width and ablation. The other arguments are those of
    `xseg.models.classifier.ClassifierConfig`.

    Returns:
        A module from normalised images (N, in_channels, H, W) to logits (N, classes).

    Raises:
        ConfigError: if an argument is out of range.
        WeightsError: if the weights cannot be read or do not fit.
    """
    any_head = (classes is None, fully_connected is None)
    classes, fully_connected = ClassifierConfig.classes if classes is None else classes, fully_connected or ()
    config = _configured(ClassifierConfig, locals())
    if weights is None:
        return XceptionClassifier(config)
    return pretrained_classifier(config, weights, any_head=any_head)
