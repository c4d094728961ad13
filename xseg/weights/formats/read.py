"""Open weights; the content of the path, not its suffix, selects the reader."""

from __future__ import annotations

import re
import struct
import tempfile
import zipfile
from pathlib import Path

from torch import nn

from xseg.errors import WeightsError
from xseg.types import PathArgument
from xseg.weights.formats.archive import extract_checkpoint, is_tar
from xseg.weights.formats.keras import WEIGHTS_MEMBER, read_keras
from xseg.weights.formats.source import Source, readable
from xseg.weights.formats.tensorflow import checkpoint_prefix, read_checkpoint, read_graph
from xseg.weights.formats.torch import read_bundle, read_module, read_pickle, read_safetensors

HDF5_START, ZIP_START, PICKLE_START = b"\x89HDF\r\n\x1a\n", b"PK", (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
KINDS = (
    "a .keras, .h5, .safetensors, .pth or .ckpt file, a frozen graph .pb, a TensorFlow checkpoint or its .tar.gz, a "
    "bundle or a run"
)


def read_source(weights: PathArgument | nn.Module) -> Source:
    """Read weights.

    Args:
        weights: path of a file or folder, shared prefix of a checkpoint's files, or a model in memory.

    Raises:
        WeightsError: if it is missing, damaged, or of an unknown kind.
        MissingExtraError: if an optional package is missing.
    """
    if isinstance(weights, nn.Module):
        return read_module(weights)
    path = Path(weights)
    prefix = checkpoint_prefix(path)
    if prefix is not None:
        return read_checkpoint(prefix)
    if path.is_dir():
        return _read_directory(path)
    if not path.is_file():
        raise WeightsError(f"{path} does not exist", expected=KINDS, remedy="check the path")
    return _read_file(path)


def _read_directory(path: Path) -> Source:
    for folder in (path / "best", path):
        if (folder / "config.json").is_file() and (folder / "model.safetensors").is_file():
            return read_bundle(folder)
    checkpoints = sorted(path.glob("*.index"))
    if len(checkpoints) > 1:
        names = ", ".join(found.name for found in checkpoints[:4])
        raise WeightsError(f"{path} holds several checkpoints: {names}", expected="one", remedy="pass the path of one")
    if checkpoints:
        return read_checkpoint(checkpoints[0].with_suffix(""))
    if (path / "frozen_inference_graph.pb").is_file():
        return read_graph(path / "frozen_inference_graph.pb")
    raise WeightsError(f"{path} is a folder without weights", expected=KINDS)


def _read_file(path: Path) -> Source:
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise WeightsError(f"{path} is empty", expected=KINDS, remedy="copy or download it again")
    if start.startswith(HDF5_START):
        return read_keras(path)
    if start.startswith(ZIP_START):
        return read_keras(path) if _is_keras_archive(path) else read_pickle(path)
    if is_tar(path):
        with tempfile.TemporaryDirectory(prefix="xseg-") as folder:
            return _read_directory(extract_checkpoint(path, Path(folder)))
    if re.search(r"\.data-\d{5}-of-\d{5}$", path.name):
        raise WeightsError(f"{path} has no index beside it", expected="the .index file of the checkpoint")
    if path.suffix == ".pb":
        return read_graph(path)
    # Before pickles: the length of a header may begin with their first byte.
    if len(start) > 8 and start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] < path.stat().st_size:
        return read_safetensors(path)
    if start.startswith(PICKLE_START):
        return read_pickle(path)
    if path.suffix == ".safetensors":
        raise WeightsError(f"{path} is not a safetensors file", remedy="copy or download it again")
    raise WeightsError(f"{path} begins with {start[:8]!r}", expected=KINDS)


def _is_keras_archive(path: Path) -> bool:
    kinds = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error)
    reason = f"is not a complete {'.keras file' if path.suffix == '.keras' else 'zip archive'}"
    with readable(path, *kinds, reason=reason), zipfile.ZipFile(path) as archive:
        return WEIGHTS_MEMBER in archive.namelist()
