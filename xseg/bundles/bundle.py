"""A bundle: a model as a directory of weights and JSON, with everything needed for prediction."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast, overload

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from xseg.errors import ConfigError, WeightsError, XsegError
from xseg.files.objects import is_class_path, is_held, object_path
from xseg.files.serialization import from_plain
from xseg.images.normalization import Normalization
from xseg.labels.decision import Decision
from xseg.labels.label_map import NO_LABEL, LabelMap
from xseg.models.architectures import ArchitectureArgument, resolve_architecture
from xseg.models.build import build_model
from xseg.models.classifier import ClassifierConfig, XceptionClassifier
from xseg.models.config import ModelConfig
from xseg.models.segmentation import SegmentationModel
from xseg.types import PathArgument, Task
from xseg.version import __version__
from xseg.weights.formats.source import readable
from xseg.weights.formats.torch import DESCRIPTION, read_json

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
FORMAT = 1
KINDS = dict.fromkeys(("segmentation", "multilabel"), "a segmentation model") | {"classification": "a classifier"}
# Fields of a classifier's configuration for a segmentation model that uses its encoder.
ENCODER_FIELDS = ("encoder", "in_channels", "padding", "width", "ablation", "encoder_norm_eps", "encoder_norm_momentum")

Network = TypeVar("Network", bound=SegmentationModel | XceptionClassifier, covariant=True)


@dataclass(frozen=True)
class Bundle(Generic[Network]):
    """A model with its labels and normalisation.

    Args:
        model: network from normalised images to logits, for segmentation or classification.
        labels: classes of the output channels.
        normalization: normalisation of stored pixel values.
        provenance: source of the weights, as values that JSON can hold.
        preprocessing: preprocessing of a classifier, as values that JSON can hold; empty if unknown, and for
            segmentation.
        task: "multilabel" if classes overlap, with one sigmoid per class; "classification" for any classifier.
        thresholds: lowest probability, 0 to 1, at which a pixel has a class: one per class for "multilabel", or one for
            the second of two classes. Empty for 0.5, which for two classes is the class with the higher score.

    Raises:
        WeightsError: if labels, normalisation, task or thresholds do not fit the model.
    """

    model: Network
    labels: LabelMap
    normalization: Normalization
    provenance: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    task: Task = "segmentation"
    thresholds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        config = self.model.config
        if len(self.labels) != config.classes or self.normalization.channels != config.in_channels:
            raise WeightsError(
                f"{len(self.labels)} class names and {self.normalization.channels} input means for a model of "
                f"{config.classes} classes and {config.in_channels} input channels",
                expected="equal numbers",
            )
        if isinstance(config, ClassifierConfig):
            object.__setattr__(self, "task", "classification")
        elif self.task == "multilabel" and config.binary:
            raise WeightsError("a multilabel model with binary=true", expected="one output per class")
        self._check_thresholds()

    def _check_thresholds(self) -> None:
        classes, given = self.model.config.classes, self.thresholds
        count = classes if self.task == "multilabel" else int(self.task == "segmentation" and classes == 2)
        numbers = list(given) if isinstance(given, list | tuple) else [given]
        sound = all(isinstance(each, int | float) and 0 <= each <= 1 for each in numbers)
        if not sound or len(numbers) not in (0, count):
            expected = f"{count} from 0 to 1, or none" if count else "none"
            got = f"{len(numbers)} thresholds of a model for {self.task} into {classes} classes"
            raise WeightsError(got, expected=expected)
        object.__setattr__(self, "thresholds", tuple(map(float, numbers)))

    @property
    def decision(self) -> Decision:
        """Rule for probabilities and labels of a segmentation model."""
        return Decision(self.task == "multilabel", self.thresholds)


def save_bundle(bundle: Bundle[SegmentationModel | XceptionClassifier], directory: PathArgument) -> Path:
    """Write a bundle, completely or not at all; it replaces an older one.

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


def write_files(bundle: Bundle[SegmentationModel | XceptionClassifier], directory: Path) -> None:
    """Write the two files of a bundle to a new directory."""
    description: dict[str, Any] = {
        "format": FORMAT,
        "task": bundle.task,
        "xseg_version": __version__,
        "model": asdict(bundle.model.config),
        "labels": bundle.labels.to_dict(),
        "normalization": asdict(bundle.normalization),
        "preprocessing": dict(bundle.preprocessing),
        "thresholds": list(bundle.thresholds),
        "provenance": dict(bundle.provenance),
    }
    header = {"format": "pt"}
    if bundle.task == "classification":  # for segmentation models that use the encoder of the file
        model = {name: description["model"][name] for name in ENCODER_FIELDS}
        encoder = {"encoder": model["encoder"], "model": model, "normalization": description["normalization"]}
        header[DESCRIPTION] = json.dumps(encoder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in bundle.model.state_dict().items()}
    save_file(tensors, directory / WEIGHTS_FILE, metadata=header)
    (directory / WEIGHTS_FILE).chmod(0o644)  # safetensors makes the file private
    (directory / CONFIG_FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


@overload
def load_bundle(
    directory: PathArgument,
    task: Literal["segmentation", "multilabel"] = ...,
    *,
    architecture: ArchitectureArgument | None = ...,
    encoder: nn.Module | None = ...,
) -> Bundle[SegmentationModel]: ...


@overload
def load_bundle(directory: PathArgument, task: Literal["classification"]) -> Bundle[XceptionClassifier]: ...


def load_bundle(
    directory: PathArgument,
    task: Task = "segmentation",
    *,
    architecture: ArchitectureArgument | None = None,
    encoder: nn.Module | None = None,
) -> Bundle[SegmentationModel | XceptionClassifier]:
    """Read a bundle without executing anything in it.

    Args:
        directory: directory of the bundle's two files.
        task: expected task of the model; "segmentation" includes "multilabel".
        architecture: decoder class or model outside the package, or its class path, for a bundle that has one;
            otherwise the expected name of the architecture, or None for any.
        encoder: encoder outside the package, for a bundle that has one.

    Returns:
        The bundle; its model is on the CPU, in evaluation mode.

    Raises:
        WeightsError: if a file is missing, damaged or does not fit the other, or the model has another task.
    """
    source = Path(directory)
    description = _read_description(source / CONFIG_FILE, task)
    try:
        labels = from_plain(LabelMap, description.get("labels"), "labels")
        normalization = from_plain(Normalization, description.get("normalization"), "normalization")
        model = _build(description.get("model"), task, architecture, encoder)
    except XsegError as error:
        raise WeightsError(f"{source / CONFIG_FILE}: {error}") from error
    except (RuntimeError, TypeError, OverflowError) as error:  # raised by torch for a size beyond any memory
        got = f"{source / CONFIG_FILE} describes a model that cannot be built: {str(error).partition(chr(10))[0]}"
        raise WeightsError(
            got,
        ) from error
    _load_tensors(model, source / WEIGHTS_FILE)
    about = (description.get("provenance", {}), description.get("preprocessing", {}), _task(description))
    return Bundle(model.eval(), labels, normalization, *about, description.get("thresholds", ()))


def _build(
    values: Any, task: Task, architecture: ArchitectureArgument | None, encoder: nn.Module | None
) -> SegmentationModel | XceptionClassifier:
    """Return a model without memory for its weights."""
    if task == "classification":
        with torch.device("meta"):
            return XceptionClassifier(from_plain(ClassifierConfig, values, "model"))
    config = from_plain(ModelConfig, values, "model")
    if encoder is not None:
        if not is_held(config.encoder):
            raise ConfigError(f"an encoder for a model with {config.encoder}", expected="none")
        config = replace(config, encoder=object_path(encoder))
    if architecture is None and is_held(config.architecture):
        architecture = config.architecture  # an object of this process, so no code is imported
    name, decoder = (config.architecture, None) if architecture is None else resolve_architecture(architecture)
    if name != config.architecture and (decoder is None or not is_class_path(config.architecture)):
        raise ConfigError(f"the model is a {config.architecture}", expected=name)
    with torch.device("meta"):
        return build_model(config, decoder)


def _read_description(path: Path, task: Task) -> dict[str, Any]:
    if not path.is_file():
        raise WeightsError(f"no {path}", expected=f"a bundle: {CONFIG_FILE} and {WEIGHTS_FILE}")
    description: Any = read_json(path)
    found = description.get("format") if isinstance(description, dict) else None
    if found != FORMAT:
        remedy = "it may come from another program or a newer xseg"
        raise WeightsError(f"{path} has format {found!r}", expected=f"format {FORMAT}", remedy=remedy)
    found = _task(description)
    if KINDS.get(found if isinstance(found, str) else "") != KINDS[task]:
        got = f"{path.parent} holds {KINDS.get(str(found), f'a model for {found!r}')}"
        remedy = "pass it to a training with --model.encoder_weights" if found == "classification" else ""
        raise WeightsError(got, expected=KINDS[task], remedy=remedy)
    if "classes" in description:  # format of earlier classifiers
        description["labels"] = {"names": description["classes"], "ignore_index": NO_LABEL}
    return cast(dict[str, Any], description)


def _task(description: Mapping[str, Any]) -> Any:
    """Return the task of a description, including older ones without the field."""
    return description.get("task", "classification" if description.get("kind") == "classifier" else "segmentation")


def bundle_task(directory: PathArgument) -> Task | None:
    """Return the task of the model in a directory; None if there is no readable bundle."""
    try:
        description = read_json(Path(directory) / CONFIG_FILE) if is_bundle(directory) else None
    except WeightsError:
        return None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        return None
    return cast(Task, _task(description))


def _load_tensors(model: nn.Module, path: Path) -> None:
    if not path.exists():
        raise WeightsError(f"no {path}", expected=f"{WEIGHTS_FILE} beside {CONFIG_FILE}")
    with readable(path, OSError, SafetensorError):
        tensors = load_file(path)
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
