"""PyTorch's files: safetensors, read and written, and `.pth` and `.ckpt` with only tensors and simple values."""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xseg.errors import WeightsError
from xseg.files.atomic import atomic_path
from xseg.images.normalization import Normalization
from xseg.nn.norm import NormSpec
from xseg.weights.formats.source import Source, check_ratio, check_size, readable

MAX_BYTES = 8 * 2**30
WRAPPERS = ("state_dict", "model_state", "model_state_dict", "model", "net")
LIGHTNING = "pytorch-lightning_version"
AVERAGED, PLAIN = "averaging_state", "current_model_state"  # of Lightning's WeightAveraging
DESCRIPTION = "xseg"  # key of the model description in xseg's checkpoints
DESCRIBED = ("model", "labels", "normalization")


def read_safetensors(path: Path) -> Source:
    """Read a safetensors file.

    Raises:
        WeightsError: if it is damaged.
    """
    with readable(path, OSError, SafetensorError, ValueError, RecursionError), safe_open(path, "pt") as file:
        tensors = load_file(path)
        header = json.loads((file.metadata() or {}).get(DESCRIPTION, "{}"))
    known = ("encoder", "epsilon", "momentum", "normalization", "model")
    metadata = {name: header[name] for name in known if name in header} if isinstance(header, dict) else {}
    return Source(str(path), tensors, metadata)


def read_bundle(directory: Path) -> Source:
    """Read the tensors and the configuration of a bundle.

    Raises:
        WeightsError: if a file is missing or damaged.
    """
    path = directory / "config.json"
    source = read_safetensors(directory / "model.safetensors")
    if "model" in source.metadata:  # a classifier's file contains its own configuration
        return replace(source, name=str(directory))
    return Source(str(directory), source.tensors, _described(path, read_json(path)))


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        WeightsError: if it is missing, not JSON, nested too deeply, or holds numbers with thousands of digits.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} cannot be read: {error}", expected="JSON written by xseg") from error


def _described(path: Path, description: Any) -> dict[str, Any]:
    if not isinstance(description, Mapping) or not isinstance(description.get("model"), Mapping):
        raise WeightsError(f"{path} contains no model description", expected="a config.json written by xseg")
    return {name: description[name] for name in DESCRIBED if isinstance(description.get(name), Mapping)}


def read_pickle(path: Path) -> Source:
    """Read a file of `torch.save` without running code: only tensors and simple values are accepted.

    Raises:
        WeightsError: if it is damaged, holds code, or holds no tensors.
    """
    if path.suffix == ".pdparams":
        raise WeightsError(f"{path} is a PaddlePaddle file", expected="weights that can be converted faithfully")
    try:
        _check_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; errors are raised anyway
            content = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # damaged files raise almost any exception
        got = f"{path} cannot be read without running code: {_reason(error)}"
        expected = "a file of torch.save with only tensors and simple values"
        raise WeightsError(got, expected=expected, remedy="save only the state_dict()") from error
    return _source(path, content)


def _reason(error: Exception) -> str:
    """Return the reason of `torch.load`, without its advice to load the file anyway."""
    text = str(error).strip()
    if found := re.search(r"GLOBAL (\S+)", text):
        return f"it needs {found[1]}"
    if "Weights only load failed" in text:
        return "it holds other objects"
    return text.partition("\n")[0] or type(error).__name__


def _check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to far more than its size."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    for info in members:
        check_ratio(f"{path}: {info.filename}", info.compress_size, info.file_size)
    if sum(info.file_size for info in members) > MAX_BYTES:
        raise WeightsError(f"{path} unpacks to more than {MAX_BYTES} bytes", expected="the weights of an Xception")


def _source(path: Path, content: Any) -> Source:
    """Return the tensors in the result of `torch.load`, and the metadata of xseg's checkpoints."""
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}", expected="a mapping of names to tensors")
    state = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), content)
    dropped = {str(key): "training state" for key in content if state is not content and content[key] is not state}
    tensors: dict[str, Tensor] = {}
    for name, value in state.items():
        if isinstance(value, Tensor):
            check_size(f"{path}: {name}", tuple(value.shape))
            tensors[str(name)] = value
        else:
            dropped[str(name)] = f"a {type(value).__name__}, not a tensor"
    if not tensors:
        raise WeightsError(f"{path} holds no tensors", expected="a state_dict")
    metadata: dict[str, Any] = {}
    if LIGHTNING in content:
        if AVERAGED in content:  # Lightning's WeightAveraging stores the averages in place of the weights
            dropped[PLAIN] = "replaced by their moving average"
        outside = [name for name in tensors if not name.startswith("model.")]
        dropped |= dict.fromkeys(outside, "part of the training, not of the model")
        tensors = {name: tensor for name, tensor in tensors.items() if name.startswith("model.")}
        metadata = {**_training_metadata(path, content.get(DESCRIPTION)), "averaged": AVERAGED in content}
    return Source(str(path), tensors, metadata, dropped)


def _training_metadata(path: Path, description: Any) -> dict[str, Any]:
    """Return the model description of a training, from the checkpoint or from the best bundle beside it."""
    if description is not None:
        return _described(path, description)
    beside = path.parent / "best" / "config.json"
    return _described(beside, read_json(beside)) if beside.is_file() else {}


def read_module(module: nn.Module) -> Source:
    """Read the tensors and the epsilon of a timm, SMP, Cadene or xseg model in memory.

    Raises:
        WeightsError: if its batch normalisations have different epsilons, unlike any encoder's.
    """
    name = f"a {type(module).__name__} in memory"
    encoder = getattr(module, "encoder", module)
    norms = [part for part in encoder.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    epsilons = sorted({part.eps for part in norms})
    if len(epsilons) > 1:
        raise WeightsError(f"{name} has batch normalisations with epsilons {epsilons}", expected="one epsilon")
    metadata: dict[str, Any] = {"epsilon": epsilons[0]} if epsilons else {}
    config = getattr(module, "config", None)
    if is_dataclass(config) and not isinstance(config, type) and hasattr(config, "encoder"):
        metadata["model"] = asdict(config)
    tensors = {key: tensor.detach() for key, tensor in module.state_dict().items()}
    return Source(name, tensors, metadata)


def save_encoder(
    path: Path, state: Mapping[str, Tensor], *, encoder: str, norm: NormSpec, normalization: Normalization, source: str
) -> None:
    """Write the weights of an encoder of full depth, completely or not at all."""
    header = {
        "encoder": encoder,
        "epsilon": norm.eps,
        "momentum": norm.momentum,
        "normalization": asdict(normalization),
        "source": source,
    }
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt", DESCRIPTION: json.dumps(header)})
        temporary.chmod(0o644)  # safetensors makes the file private
