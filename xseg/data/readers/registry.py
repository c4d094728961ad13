"""Registry of readers. A new reader is a module with `create(options)` and a name in `xseg.data.layout.ReaderName`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from xseg.data.layout import READER_NAMES
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader
from xseg.data.patterns import ValidFiles
from xseg.data.sample import Reader
from xseg.errors import ConfigError

READERS: dict[str, str] = {name: f"xseg.data.readers.{name}" for name in READER_NAMES}
"""Module of each reader."""
OWN = "xseg.data.readers.own"


def create_reader(options: DataOptions) -> Reader:
    """Return the reader in the options: one of `READERS`, or a user's own by class path.

    Raises:
        ConfigError: if the options contradict each other, the variant is unknown, or colours are too close for the
            tolerance.
        DataError: if root is not a folder, or a file with the classes or the list of images cannot be read.
        MissingExtraError: if an optional package is missing.
    """
    create: Callable[[DataOptions], Reader] = importlib.import_module(READERS.get(options.reader, OWN)).create
    reader, pattern = create(options), options.layout.files.valid
    if not pattern:
        return reader
    if not isinstance(reader, FileReader):
        raise ConfigError(f"valid={pattern!r} with reader={options.reader!r}", expected="a reader of image files")
    return replace(reader, valid=ValidFiles(Path(options.root), pattern))
