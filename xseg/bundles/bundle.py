"""A bundle: a model as a directory of weights and plain JSON, with everything that prediction needs."""

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

from xseg.errors import WeightsError, XsegError
from xseg.files.serialization import from_plain
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.models.architectures import build_model
from xseg.models.config import ModelConfig
from xseg.models.segmentation import SegmentationModel
from xseg.types import PathArgument
from xseg.version import __version__
from xseg.weights.formats.torch import read_json

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
FORMAT = 1


@dataclass(frozen=True)
class Bundle:
    """A model and what its numbers mean.

    Args:
        model: maps normalised images to logits.
        labels: the classes of its output channels.
        normalization: how stored pixel values become its input.
        provenance: where the weights came from, as plain values for JSON.

    Raises:
        WeightsError: if labels or normalisation do not fit the model.
    """

    model: SegmentationModel
    labels: LabelMap
    normalization: Normalization
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config = self.model.config
        if len(self.labels) != config.classes or self.normalization.channels != config.in_channels:
            raise WeightsError(
                f"{len(self.labels)} class names and {self.normalization.channels} input means for a model of "
                f"{config.classes} classes and {config.in_channels} input channels",
                expected="as many of each",
            )

    @property
    def config(self) -> ModelConfig:
        """What the model is made of."""
        return self.model.config


def save_bundle(bundle: Bundle, directory: PathArgument) -> Path:
    """Write a bundle; it appears whole or not at all, and replaces an older one.

    Returns:
        The directory.
    """
    target = Path(directory)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as temporary:
        fresh = Path(temporary) / "bundle"
        fresh.mkdir()
        write_files(bundle, fresh)
        if target.exists():
            target.replace(Path(temporary) / "replaced")
        fresh.replace(target)
    return target


def write_files(bundle: Bundle, directory: Path) -> None:
    """Write a bundle's two files into a directory that nobody reads yet."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in bundle.model.state_dict().items()}
    save_file(tensors, directory / WEIGHTS_FILE, metadata={"format": "pt"})
    (directory / WEIGHTS_FILE).chmod(0o644)  # safetensors makes it private
    (directory / CONFIG_FILE).write_text(json.dumps(_description(bundle), indent=2) + "\n", encoding="utf-8")


def _description(bundle: Bundle) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "xseg_version": __version__,
        "model": bundle.config.to_dict(),
        "labels": bundle.labels.to_dict(),
        "normalization": asdict(bundle.normalization),
        "provenance": dict(bundle.provenance),
    }


def load_bundle(directory: PathArgument) -> Bundle:
    """Read a bundle. Nothing in it is executed.

    Returns:
        The bundle; its model is on the CPU, in evaluation mode.

    Raises:
        WeightsError: if a file is missing, damaged, or does not fit the other.
    """
    source = Path(directory)
    description = _read_description(source / CONFIG_FILE)
    try:
        config = from_plain(ModelConfig, description.get("model"), "model")
        labels = from_plain(LabelMap, description.get("labels"), "labels")
        normalization = from_plain(Normalization, description.get("normalization"), "normalization")
        with torch.device("meta"):
            model = build_model(config)
    except XsegError as error:
        raise WeightsError(f"{source / CONFIG_FILE}: {error}") from error
    except (RuntimeError, TypeError, OverflowError) as error:  # torch's, for a size that no memory holds
        raise WeightsError(
            f"{source / CONFIG_FILE} describes a model that cannot be built: {str(error).partition(chr(10))[0]}"
        ) from error
    _load_tensors(model, source / WEIGHTS_FILE)
    return Bundle(model.eval(), labels, normalization, description.get("provenance", {}))


def _read_description(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise WeightsError(f"no {path}", expected=f"a bundle: {CONFIG_FILE} and {WEIGHTS_FILE}")
    description = read_json(path)
    if isinstance(description, dict) and description.get("kind") == "classifier":
        raise WeightsError(
            f"{path.parent} holds a classifier",
            expected="a segmentation model",
            remedy="train one with --model.encoder_weights naming it",
        )
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise WeightsError(
            f"{path} has format {description.get('format') if isinstance(description, dict) else None!r}",
            expected=f"format {FORMAT}",
            remedy="is it another program's config.json, or a newer xseg's?",
        )
    return description


def _load_tensors(model: SegmentationModel, path: Path) -> None:
    try:
        tensors = load_file(path)
    except FileNotFoundError as error:
        raise WeightsError(f"no {path}", expected=f"{WEIGHTS_FILE} beside {CONFIG_FILE}") from error
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read: {error}", remedy="copy or download it again") from error
    wanted = model.state_dict()
    problems = [
        *(f"missing {name}" for name in wanted if name not in tensors),
        *(f"unknown {name}" for name in tensors if name not in wanted),
        *(
            f"{name} of shape {list(tensors[name].shape)}, expected {list(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in tensors and tensors[name].shape != tensor.shape
        ),
    ]
    if problems:
        raise WeightsError(f"{path} does not fit its {CONFIG_FILE}: {len(problems)} differences, first {problems[0]}")
    model.load_state_dict(tensors, assign=True)


def is_bundle(directory: PathArgument) -> bool:
    """Return whether a directory looks like a bundle."""
    return (Path(directory) / CONFIG_FILE).is_file() and (Path(directory) / WEIGHTS_FILE).is_file()
