"""Files written completely or not at all."""

from __future__ import annotations

import csv
import io
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xseg.types import PathArgument

TEMPORARY = r"\.[0-9a-f]{12}(\..*)?"  # regular expression for the names of unfinished files


@contextmanager
def atomic_path(path: PathArgument) -> Iterator[Path]:
    """Yield a temporary path that is renamed to `path` when the block ends, and removed if it raises.

    Folders are created, an older file is replaced. The temporary path is in the same folder and has the same suffix,
    for writers that choose the format by suffix.

    Raises:
        OSError: if the folder cannot be created or the file cannot be replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: only their owner could read its files, and the mode would stay. The added part is short, because
    # names have a maximum length.
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)  # noqa: PTH105 - the name says that it replaces
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: PathArgument, text: str) -> Path:
    """Write UTF-8 text, completely or not at all, and return the path.

    Raises:
        OSError: if the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
    return Path(path)


def write_table(path: PathArgument, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write a CSV with the values of each row by column, completely or not at all, and return the path."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return write_text(path, text.getvalue())
