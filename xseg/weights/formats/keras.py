"""Reader for Keras files: `.keras`, `.weights.h5` and `.h5` of Keras 2 and 3. Only the HDF5 is read."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from xseg.errors import MissingExtraError, WeightsError
from xseg.weights.formats.keras_names import Layer, find_epsilon, name_layers
from xseg.weights.formats.source import Source, check_ratio, check_size, readable

WEIGHTS_MEMBER, CONFIG_MEMBER = "model.weights.h5", "config.json"
MAX_MEMBER = 4 * 2**30  # bytes; an Xception with its optimizer takes 0.3 GiB
MAX_CONFIG = 64 * 2**20
MAX_NESTING = 24
KERAS_3_GROUPS = ("layers", "_layer_checkpoint_dependencies")
STATE_GROUPS = ("optimizer", "optimizer_weights", "seed_generator")


def read_keras(path: Path) -> Source:
    """Read a Keras file.

    Returns:
        Tensors named LAYER/VARIABLE, with the layers' own names if the file contains them.

    Raises:
        WeightsError: if the file is damaged, hostile, or holds no layers.
        MissingExtraError: if h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", extra="keras", purpose=f"reading {path}") from error
    reason, expected = "cannot be read as a Keras file", "a complete .keras, .weights.h5 or .h5 file"
    # h5py's exceptions for damaged files have no common class
    with readable(path, Exception, reason=reason, expected=expected):
        data, config = _unzip(path) if zipfile.is_zipfile(path) else (path, None)
        with h5py.File(data, "r") as file:
            return _read(path, file, config)


def _unzip(path: Path) -> tuple[BinaryIO, Any]:
    """Return weights and configuration of a `.keras` archive, read into memory without writing files."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if WEIGHTS_MEMBER not in members:
            raise WeightsError(f"{path} is a zip file without {WEIGHTS_MEMBER}", expected="a .keras file")
        for name, limit in ((WEIGHTS_MEMBER, MAX_MEMBER), (CONFIG_MEMBER, MAX_CONFIG)):
            if info := members.get(name):
                check_ratio(f"{path}: {name}", info.compress_size, info.file_size, limit)
        config = json.loads(archive.read(CONFIG_MEMBER)) if CONFIG_MEMBER in members else None
        return io.BytesIO(archive.read(WEIGHTS_MEMBER)), config


def _read(path: Path, file: Any, config: Any) -> Source:
    root = file.get("model_weights", file)
    if config is None and "model_config" in file.attrs:
        config = json.loads(_text(file.attrs["model_config"]))
    if "layer_names" in root.attrs:
        layers = list(_legacy_layers(path, root))
    elif any(group in root for group in KERAS_3_GROUPS):
        layers = list(_layers(path, root, ()))
    else:
        raise WeightsError(f"{path} is an HDF5 file without Keras layers", expected="weights saved by Keras")
    dropped = {name: "the optimizer's state" for name in STATE_GROUPS if name in file and name != "seed_generator"}
    metadata: dict[str, Any] = {}
    if (epsilon := find_epsilon(config)) is not None:
        metadata["epsilon"] = epsilon
    return Source(str(path), name_layers(str(path), layers, config), metadata, dropped)


def _legacy_layers(path: Path, root: Any) -> Iterator[Layer]:
    """Yield the layers of a file in the style of Keras 2: named groups, each with a list of weight names.

    A model inside a model is one group; the names of its weights start with their own layers' names.
    """
    for raw in root.attrs["layer_names"]:
        outer = _text(raw)
        group = _child(path, root, outer)
        inner: dict[str, list[tuple[str, Tensor]]] = {}
        for weight in (_text(name) for name in group.attrs["weight_names"]):
            parts = weight.split(":")[0].split("/")
            layer = parts[-2] if len(parts) > 1 else outer
            inner.setdefault(layer, []).append((parts[-1], _tensor(path, _descend(path, group, weight))))
        nested = any(layer != outer and not layer.startswith(outer + "_") for layer in inner)
        for layer, variables in inner.items():
            # Keras 2 may number the scope of variables again ("conv2d_1_1"); the group has the layer's own name.
            yield Layer((outer,) if nested else (), layer if nested else outer, variables)


def _layers(path: Path, group: Any, scope: tuple[str, ...]) -> Iterator[Layer]:
    """Yield the layers of a file in the style of Keras 3: groups named by class and number, variables by position."""
    if len(scope) > MAX_NESTING:
        raise WeightsError(f"{path} nests groups more than {MAX_NESTING} deep", expected="a model saved by Keras")
    for key in group:
        if key in ("vars", *STATE_GROUPS):
            continue
        child = _child(path, group, key)
        if not hasattr(child, "keys"):
            continue
        if key in KERAS_3_GROUPS:
            yield from _layers(path, child, scope)
            continue
        if "vars" in child:
            variables = _child(path, child, "vars")
            numbered = sorted(variables, key=lambda item: (len(item), item))
            tensors = [(str(item), _tensor(path, _child(path, variables, item))) for item in numbered]
            if tensors:
                yield Layer(scope, str(key), tensors, _text(variables.attrs.get("name", "")))
        yield from _layers(path, child, (*scope, str(key)))


def _child(path: Path, group: Any, key: str) -> Any:
    """Return a member of a group; links to other files are refused."""
    link = group.get(key, getlink=True)
    if type(link).__name__ != "HardLink":
        raise WeightsError(f"{path}: {group.name}/{key} is a link to another place", expected="data in the file itself")
    return group[key]


def _descend(path: Path, group: Any, name: str) -> Any:
    for key in name.split("/"):
        group = _child(path, group, key)
    return group


def _tensor(path: Path, dataset: Any) -> Tensor:
    """Return the values of a dataset after checking its size."""
    if getattr(dataset, "external", None) or getattr(dataset, "is_virtual", False):
        raise WeightsError(f"{path}: {dataset.name} keeps its data elsewhere", expected="data in the file itself")
    check_size(f"{path}: {dataset.name}", dataset.shape)
    stored = max(dataset.id.get_storage_size(), 1 << 10)
    check_ratio(f"{path}: {dataset.name}", stored, dataset.size * dataset.dtype.itemsize)
    return torch.from_numpy(dataset[()].copy()) if dataset.shape else torch.as_tensor(dataset[()].item())


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
