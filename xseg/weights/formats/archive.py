"""Safe extraction of a checkpoint from a tar: only its own files, with simple names."""

from __future__ import annotations

import re
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from xseg.errors import WeightsError
from xseg.weights.formats.source import readable

WANTED = re.compile(r"[\w.-]+\.(index|data-\d{5}-of-\d{5})|frozen_inference_graph\.pb")
MAX_BYTES = 4 * 2**30  # the largest published checkpoint takes 0.5 GiB
STARTS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")


def is_tar(path: Path) -> bool:
    """Return whether a file is a tar, packed or not."""
    with path.open("rb") as file:
        head = file.read(265)
    return head[257:262] == b"ustar" or head.startswith(STARTS)


def extract_checkpoint(path: Path, folder: Path) -> Path:
    """Unpack the files of a TensorFlow checkpoint directly into an empty folder, and return it.

    Raises:
        WeightsError: if the tar is damaged, too large, leaves the folder, or holds no checkpoint.
    """
    total = 0
    kinds = (tarfile.TarError, EOFError, OSError, zlib.error, ValueError)
    with (
        readable(path, *kinds, reason="cannot be unpacked", expected="a complete tar"),
        tarfile.open(path, "r:*") as archive,
    ):
        for member in archive:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts or "\\" in member.name:
                raise WeightsError(f"{path} would write to {member.name}", remedy="it is hostile; do not use it")
            if not WANTED.fullmatch(name.name) or member.isdir():
                continue
            if not member.isreg():
                raise WeightsError(f"{path}: {member.name} is a link", remedy="it is hostile; do not use it")
            total += member.size
            if total > MAX_BYTES:
                raise WeightsError(f"{path} unpacks to over {MAX_BYTES} bytes", remedy="it is hostile")
            target = folder / name.name
            if target.exists():
                raise WeightsError(f"{path} holds {name.name} twice", expected="one checkpoint")
            inside = archive.extractfile(member)
            if inside is not None:
                with inside, target.open("wb") as out:
                    shutil.copyfileobj(inside, out, 1 << 20)
    if not any(folder.iterdir()):
        got = f"{path} holds no checkpoint and no frozen graph"
        raise WeightsError(got, expected="a tar of TF DeepLab's model zoo")
    return folder
