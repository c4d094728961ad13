"""Construction of the model to train: new, from the weights of another model, or from a checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from xseg.bundles.bundle import load_bundle
from xseg.bundles.locate import locate_bundle
from xseg.encoders.variants import VARIANTS
from xseg.encoders.xception import XceptionEncoder
from xseg.errors import ConfigError, WeightsError
from xseg.factory import pretrained_model
from xseg.files.objects import is_class_path, is_held
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.models.architectures import resolve_architecture
from xseg.models.build import build_model
from xseg.models.classifier import ClassifierConfig, XceptionClassifier
from xseg.models.config import ModelConfig
from xseg.models.segmentation import SegmentationModel
from xseg.nn.initialization import repeat_kernels
from xseg.training.batch_norm import normalization_layers
from xseg.training.options.task import LearningOptions, TaskOptions
from xseg.weights.adapt import adapt_head
from xseg.weights.smp import pretrained_normalization

Config = TypeVar("Config", ModelConfig, ClassifierConfig)
Model = TypeVar("Model", SegmentationModel, XceptionClassifier)
# fields that come from the weights, not from the options
FROM_WEIGHTS = ("encoder_norm_eps", "encoder_norm_momentum", "decoder_norm_eps", "decoder_norm_momentum")


def construct_model(options: TaskOptions, labels: LabelMap, *, in_channels: int) -> SegmentationModel:
    """Build the model in the options, with its initial weights.

    Raises:
        ConfigError: if a value is out of range.
        WeightsError: if the weights are missing or do not fit.
    """
    if options.start_from is None:
        config = options.model_config(classes=len(labels), in_channels=in_channels)
        decoder = resolve_architecture(options.architecture)[1]
        model = pretrained_model(config, options.encoder_weights, decoder)
    else:
        model = _start(options, options.start_from, labels, in_channels)
    return finish(model, options)


def normalization_for(options: TaskOptions, default: Normalization) -> Normalization:
    """Return the normalisation with which the encoder's initial weights were trained.

    Args:
        options: options with the encoder and its weights.
        default: normalisation for the Xceptions, whose channels and range are kept.

    Raises:
        WeightsError: if it cannot be read or downloaded.
    """
    weights = options.encoder_weights
    if options.start_from is not None and options.encoder not in VARIANTS:
        weights = str(locate_bundle(options.start_from))
    return pretrained_normalization(options.encoder, weights, default)


def restored_model(options: TaskOptions, config: ModelConfig) -> SegmentationModel:
    """Return the model of a checkpoint, without its weights.

    Raises:
        WeightsError: if the options describe another model.
    """
    asked = options.model_config(classes=config.classes, in_channels=config.in_channels)
    refuse_difference(asked, config, "the checkpoint to resume", FROM_WEIGHTS)
    return finish(build_model(config, resolve_architecture(options.architecture)[1]), options)


def _start(options: TaskOptions, source: str, labels: LabelMap, in_channels: int) -> SegmentationModel:
    """Return the model with the weights of a bundle.

    Its head keeps the rows of classes with the same name; for other channels, its first kernels are repeated.
    """
    decoder = resolve_architecture(options.architecture)[1]
    bundle = load_bundle(locate_bundle(source), architecture=decoder)
    state: Mapping[str, Tensor] = bundle.model.state_dict()
    if bundle.labels.names != labels.names:
        state = adapt_head(state, bundle.model.config, bundle.labels, labels.names).state
    asked = options.model_config(classes=len(labels), in_channels=in_channels)
    # the weights do not depend on these
    free = (*FROM_WEIGHTS, "output_stride", "atrous_rates", "dropout", "classes", "in_channels")
    refuse_difference(asked, bundle.model.config, f"start_from={source}", free)
    model = build_model(replace(asked, **{name: getattr(bundle.model.config, name) for name in FROM_WEIGHTS}), decoder)
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    first = [name for name, value in state.items() if shapes.get(name, value.shape) != value.shape]
    model.load_state_dict({**state, **{name: repeat_kernels(state[name], in_channels) for name in first}})
    return model


def refuse_difference(asked: Config, found: Config, what: str, free: Collection[str]) -> None:
    """Compare the configuration in the options with that of the weights.

    Class paths of decoders may differ, as one file has several paths, and so may names of objects.

    Args:
        asked: configuration from the options.
        found: configuration of the weights.
        what: name of the weights in the error message.
        free: names of fields that may differ.

    Raises:
        WeightsError: for the first relevant difference.
    """
    ours, theirs = (getattr(config, "architecture", "") for config in (asked, found))
    if is_class_path(ours) and is_class_path(theirs):
        free = (*free, "architecture")
    ours, theirs = asked.encoder, found.encoder
    if is_held(ours) and is_held(theirs):
        free = (*free, "encoder")
    for name in (field.name for field in fields(asked)):
        if name not in free and getattr(asked, name) != getattr(found, name):
            raise WeightsError(
                f"{what} belongs to another model: {name}={getattr(found, name)!r}",
                expected=f"{getattr(asked, name)!r}, as in the configuration",
                remedy="pass the config.yaml of its run with --config",
            )


def finish(model: Model, options: LearningOptions) -> Model:
    """Apply the training options to a model, and return it."""
    momentum = options.batch_norm_momentum
    if momentum is not None:
        for layer in normalization_layers(model):
            layer.momentum = momentum
        # stored in the bundle, for further training of the model
        names = [field.name for field in fields(model.config) if field.name.endswith("_norm_momentum")]
        changes: dict[str, Any] = dict.fromkeys(names, momentum)
        model.config = replace(model.config, **changes)
    if isinstance(model.encoder, XceptionEncoder):
        model.encoder.set_grad_checkpointing(options.gradient_checkpointing)
    elif options.gradient_checkpointing:
        raise ConfigError(
            f"gradient_checkpointing with encoder {model.config.encoder!r}", expected=f"one of {', '.join(VARIANTS)}"
        )
    if options.channels_last:
        model.to(memory_format=torch.channels_last)
    return model
