"""Weights of SMP's encoders: those that SMP fetches by name, and files; and the normalisation that they expect."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from xseg.encoders.variants import VARIANTS
from xseg.errors import WeightsError
from xseg.files.serialization import from_plain
from xseg.images.normalization import Normalization
from xseg.models.config import ModelConfig
from xseg.types import PathArgument
from xseg.weights.catalogue.hub import hub_errors
from xseg.weights.formats.read import read_source

# torchvision's, of values in [0, 1]
IMAGENET_MEAN: tuple[float, ...] = (0.485, 0.456, 0.406)
IMAGENET_STD: tuple[float, ...] = (0.229, 0.224, 0.225)
PREFIXES = ("", "encoder.", "model.encoder.")  # of an encoder's names in its own file, a model's, and a checkpoint's
TIMM = "tu-"


def load_smp_encoder(encoder: nn.Module, config: ModelConfig, weights: PathArgument) -> None:
    """Load weights into an encoder of SMP, in place.

    Args:
        encoder: encoder of SMP.
        config: configuration of the model.
        weights: name of published weights of SMP, such as "imagenet", which are downloaded from the Hugging Face Hub
            once; or a file, a bundle or a run that contains the encoder with SMP's names.

    Raises:
        WeightsError: if the weights cannot be found or do not fit.
    """
    if Path(weights).exists():
        state = _own_state(encoder, read_source(weights).tensors, str(weights))
    else:
        from xseg.models.smp_encoders import create_smp_encoder  # SMP takes seconds to import

        name = _known(config.encoder, str(weights))
        with hub_errors(f"{weights} of {config.encoder}"):
            pretrained = create_smp_encoder(config, True if config.encoder.startswith(TIMM) else name)
        state = pretrained.state_dict()
    encoder.load_state_dict(state)


def pretrained_normalization(encoder: str, weights: str | None, default: Normalization) -> Normalization:
    """Return the normalisation of the images that an encoder's weights were trained on.

    A file that does not say it is taken for one of ImageNet's.

    Args:
        encoder: name of the encoder.
        weights: its weights, as for `load_smp_encoder`; None for random ones.
        default: normalisation of images for this package's own encoders and for random weights. Its channels and its
            maximum are kept: further channels repeat the numbers of the first three.

    Raises:
        WeightsError: if the numbers cannot be fetched, or are for images of another order of channels.
    """
    if weights is None or encoder in VARIANTS:
        return default
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    if Path(weights).exists():
        said = read_source(weights).metadata.get("normalization")
        if said is not None:
            found = from_plain(Normalization, said, "normalization")
            mean, std = found.mean, found.std
    else:
        mean, std = _published(encoder, weights)
    means, stds = (tuple(islice(cycle(values), default.channels)) for values in (mean, std))
    return Normalization(means, stds, default.maximum)


def _own_state(encoder: nn.Module, tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors of an encoder out of those of a file."""
    wanted = encoder.state_dict()
    for prefix in PREFIXES:
        if all(prefix + own in tensors for own in wanted):
            state = {own: tensors[prefix + own] for own in wanted}
            other = next((own for own in wanted if state[own].shape != wanted[own].shape), None)
            if other is None:
                return state
            got = f"{name} has {prefix}{other} of shape {list(state[other].shape)}"
            raise WeightsError(got, expected=f"{list(wanted[other].shape)}")
    missing = next(own for own in wanted if own not in tensors)
    raise WeightsError(f"{name} has no {missing}", expected="all tensors of the encoder, with SMP's names")


def _known(encoder: str, weights: str) -> str:
    """Return the name of a set of weights that SMP knows."""
    from segmentation_models_pytorch.encoders import encoders as smp_registry

    known = ["imagenet"] if encoder not in smp_registry else [*smp_registry[encoder]["pretrained_settings"]]
    if weights not in known:
        got = f"encoder_weights={weights!r} for encoder {encoder!r}"
        raise WeightsError(got, expected=f"{', '.join(known)}, or a file")
    return weights


def _published(encoder: str, weights: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation, of values in [0, 1], as published with a set of weights."""
    from segmentation_models_pytorch.encoders import get_preprocessing_params

    with hub_errors(f"{weights} of {encoder}"):
        said: dict[str, Any] = get_preprocessing_params(encoder, _known(encoder, weights))
    if said["input_space"] != "RGB":
        raise WeightsError(f"{weights} of {encoder} is for {said['input_space']} images", expected="RGB")
    white = float(said["input_range"][1])
    return tuple(value / white for value in said["mean"]), tuple(value / white for value in said["std"])
