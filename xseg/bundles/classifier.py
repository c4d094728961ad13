"""A classifier as a directory of weights and plain JSON: what `best/` of a classification run is."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from xseg.bundles.bundle import CONFIG_FILE, WEIGHTS_FILE
from xseg.errors import WeightsError, XsegError
from xseg.files.serialization import from_plain
from xseg.images.normalization import Normalization
from xseg.models.classifier import ClassifierConfig, XceptionClassifier
from xseg.types import PathArgument
from xseg.version import __version__
from xseg.weights.formats.torch import DESCRIPTION, read_json

KIND = "classifier"
FORMAT = 1
ENCODER_FIELDS = (  # of the configuration: what a segmentation model that takes the encoder needs to know
    "encoder",
    "in_channels",
    "padding",
    "width",
    "ablation",
    "encoder_norm_eps",
    "encoder_norm_momentum",
)


@dataclass(frozen=True)
class ClassifierBundle:
    """A classifier and what its numbers mean.

    Args:
        model: maps normalised images to logits.
        classes: their names, one per logit.
        normalization: how stored pixel values become its input.
        preprocessing: how an image becomes what the classifier was trained on, as plain values; empty if unknown.
        provenance: where the weights came from, as plain values for JSON.

    Raises:
        WeightsError: if classes or normalisation do not fit the model.
    """

    model: XceptionClassifier
    classes: tuple[str, ...]
    normalization: Normalization
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config = self.model.config
        if len(self.classes) != config.classes or self.normalization.channels != config.in_channels:
            raise WeightsError(
                f"{len(self.classes)} class names and {self.normalization.channels} input means for a classifier of "
                f"{config.classes} classes and {config.in_channels} input channels",
                expected="as many of each",
            )


def save_classifier(bundle: ClassifierBundle, directory: PathArgument) -> Path:
    """Write a classifier; it appears whole or not at all, and replaces an older one.

    Returns:
        The directory.
    """
    target = Path(directory)
    target.parent.mkdir(parents=True, exist_ok=True)
    description = {
        "format": FORMAT,
        "kind": KIND,
        "xseg_version": __version__,
        "model": bundle.model.config.to_dict(),
        "classes": list(bundle.classes),
        "normalization": asdict(bundle.normalization),
        "preprocessing": dict(bundle.preprocessing),
        "provenance": dict(bundle.provenance),
    }
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as temporary:
        fresh = Path(temporary) / "bundle"
        fresh.mkdir()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in bundle.model.state_dict().items()}
        save_file(tensors, fresh / WEIGHTS_FILE, metadata={"format": "pt", DESCRIPTION: json.dumps(_header(bundle))})
        (fresh / WEIGHTS_FILE).chmod(0o644)  # safetensors makes it private
        (fresh / CONFIG_FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        if target.exists():
            target.replace(Path(temporary) / "replaced")
        fresh.replace(target)
    return target


def _header(bundle: ClassifierBundle) -> dict[str, Any]:
    """Return what the weights' file says about its encoder by itself, without the configuration beside it."""
    model = {name: value for name, value in bundle.model.config.to_dict().items() if name in ENCODER_FIELDS}
    return {"encoder": model["encoder"], "model": model, "normalization": asdict(bundle.normalization)}


def classifier_directory(path: PathArgument) -> Path | None:
    """Return where a run, a bundle or its weights' file has a classifier's bundle; None if it has none."""
    path = Path(path)
    folders = (path / "best", path) if path.is_dir() else (path.parent,) if path.name == WEIGHTS_FILE else ()
    for folder in folders:
        if (folder / WEIGHTS_FILE).is_file() and _kind(folder / CONFIG_FILE) == KIND:
            return folder
    return None


def load_classifier_bundle(source: PathArgument) -> ClassifierBundle:
    """Read a classifier. Nothing in it is executed.

    Args:
        source: a classification run, or its best/.

    Returns:
        The bundle; its model is on the CPU, in evaluation mode.

    Raises:
        WeightsError: if there is none, or a file is damaged or does not fit the other.
    """
    folder = classifier_directory(source)
    if folder is None:
        raise WeightsError(f"{source} holds no classifier", expected="a classification run, or its best/")
    description = _read(folder / CONFIG_FILE)
    try:
        config = from_plain(ClassifierConfig, description.get("model"), "model")
        classes = tuple(str(name) for name in description["classes"])
        normalization = from_plain(Normalization, description.get("normalization"), "normalization")
        with torch.device("meta"):
            model = XceptionClassifier(config)
    except (KeyError, TypeError, XsegError) as error:
        raise WeightsError(f"{folder / CONFIG_FILE}: {error}") from error
    try:
        tensors = load_file(folder / WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{folder / WEIGHTS_FILE}: {error}", remedy="copy or download it again") from error
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    differing = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    if differing:
        first = f"{differing[0]} is {found.get(differing[0])}, expected {wanted.get(differing[0])}"
        raise WeightsError(f"{folder / WEIGHTS_FILE} has {len(differing)} tensors that do not fit, the first: {first}")
    model.load_state_dict(tensors, assign=True)
    extra = (description.get("preprocessing", {}), description.get("provenance", {}))
    return ClassifierBundle(model.eval(), classes, normalization, *extra)


def _kind(path: Path) -> Any:
    try:
        return _read(path).get("kind")
    except WeightsError:
        return None


def _read(path: Path) -> dict[str, Any]:
    description = read_json(path)
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise WeightsError(f"{path} is of no known format", expected=f"a classifier of format {FORMAT}")
    return description
