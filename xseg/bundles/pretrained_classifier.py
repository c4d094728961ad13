"""Classifiers with weights from a file, for the encoder and, if available, the layers after pooling."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from xseg.bundles.bundle import load_bundle
from xseg.bundles.locate import locate_classifier
from xseg.errors import WeightsError
from xseg.models.classifier import ClassifierConfig, XceptionClassifier
from xseg.nn.norm import NormSpec
from xseg.types import PathArgument
from xseg.weights.catalogue.download import locate
from xseg.weights.classifier_head import read_head
from xseg.weights.formats.read import read_source
from xseg.weights.load import load_encoder_source


def load_encoder(model: XceptionClassifier, weights: PathArgument) -> None:
    """Load the weights of a classifier's encoder, in place; the layers after pooling are not changed.

    Args:
        model: classifier, whose configuration gets epsilon and momentum of the weights.
        weights: classification run or its best/, file that `xseg convert` reads, or name from the catalogue.

    Raises:
        WeightsError: if the weights cannot be read or do not fit.
    """
    folder = locate_classifier(weights)
    if folder is None:
        norm = load_encoder_source(model.encoder, read_source(locate(weights, encoder=model.config.encoder)))
    else:
        norm = _copy_encoder(model, load_bundle(folder, "classification").model, str(folder))
    model.config = replace(model.config, encoder_norm_eps=norm.eps, encoder_norm_momentum=norm.momentum)


def pretrained_classifier(
    config: ClassifierConfig, weights: PathArgument, *, any_head: tuple[bool, bool]
) -> XceptionClassifier:
    """Build a classifier and load weights into it.

    Args:
        config: configuration of the classifier.
        weights: weights, as for `load_encoder`.
        any_head: whether to use the number of classes, and the fully connected layers, of the file. If not, and the
            file has others, the layers after pooling are new.

    Raises:
        WeightsError: if the weights cannot be read or do not fit.
    """
    folder = locate_classifier(weights)
    if folder is not None:
        whole = load_bundle(folder, "classification").model
        _require_same_encoder(whole.config, config, str(folder))
        state = {name: tensor for name, tensor in whole.state_dict().items() if not name.startswith("encoder.")}
        model = _with_head(config, state, (whole.config.classes, whole.config.fully_connected), any_head)
        norm = _copy_encoder(model, whole, str(folder))
    else:
        source = read_source(locate(weights, encoder=config.encoder))
        head = read_head(source, config.spec().channels[-1])
        if head is None:
            model = XceptionClassifier(config)
        else:
            model = _with_head(config, head.state(), (head.classes, head.fully_connected), any_head)
        norm = load_encoder_source(model.encoder, source)
    model.config = replace(model.config, encoder_norm_eps=norm.eps, encoder_norm_momentum=norm.momentum)
    return model


def _with_head(
    config: ClassifierConfig, state: dict[str, Tensor], found: tuple[int, tuple[int, ...]], any_head: tuple[bool, bool]
) -> XceptionClassifier:
    """Return a classifier with the file's layers after pooling if they match, otherwise with new ones."""
    wanted = (found[0] if any_head[0] else config.classes, found[1] if any_head[1] else config.fully_connected)
    model = XceptionClassifier(replace(config, classes=wanted[0], fully_connected=wanted[1]))
    if wanted == found:
        model.load_state_dict(state, strict=False)
    return model


def _require_same_encoder(found: ClassifierConfig, wanted: ClassifierConfig, name: str) -> None:
    """Check that weights belong to the same network."""
    for field in ("encoder", "width", "in_channels", "ablation"):
        theirs, ours = getattr(found, field), getattr(wanted, field)
        if theirs != ours:
            raise WeightsError(f"{name} has {field}={str(theirs) or 'none'}", expected=f"{str(ours) or 'none'}")


def _copy_encoder(model: XceptionClassifier, whole: XceptionClassifier, name: str) -> NormSpec:
    """Copy the encoder of another classifier, and return epsilon and momentum of its normalisations."""
    _require_same_encoder(whole.config, model.config, name)
    model.encoder.load_state_dict(whole.encoder.state_dict())
    norm = next(part for part in whole.encoder.modules() if isinstance(part, nn.BatchNorm2d))
    for part in model.encoder.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps, part.momentum = norm.eps, norm.momentum
    return NormSpec(eps=norm.eps, momentum=0.1 if norm.momentum is None else norm.momentum)
