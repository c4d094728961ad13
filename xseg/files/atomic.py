"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xseg.types import PathArgument

TEMPORARY = r"\.[0-9a-f]{12}(\..*)?"  # the names of files that are being written, as a regular expression


@contextmanager
def atomic_path(path: PathArgument) -> Iterator[Path]:
    """Give a path to write to that becomes `path` when the block ends well, and is removed when it does not.

    Args:
        path: the file to appear; its folders are made, an older file is replaced.

    Yields:
        A path in the same folder with the same suffix, so that writers that go by the suffix do the right thing.

    Raises:
        OSError: if the folder cannot be made or the file not be replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: its files are readable by their owner alone, and the mode would stay. The name is short, so that
    # a long one does not become too long.
    beside = path.with_name(f".{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        yield beside
        os.replace(beside, path)  # noqa: PTH105 - says that replacing is the point
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: PathArgument, text: str) -> Path:
    """Write UTF-8 text, whole or not at all, and return the path.

    Raises:
        OSError: if the file cannot be written.
    """
    with atomic_path(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="")
    return Path(path)


def write_bytes(path: PathArgument, content: bytes) -> Path:
    """Write bytes, whole or not at all, and return the path.

    Raises:
        OSError: if the file cannot be written.
    """
    with atomic_path(path) as beside:
        beside.write_bytes(content)
    return Path(path)
