"""Registry of readers. A new reader is a module with `create(options)`, named in `xseg.data.layout.ReaderName`."""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import partial
from pathlib import Path

from xseg.data.folds import hold_out
from xseg.data.layout import READER_NAMES
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader
from xseg.data.patterns import with_valid
from xseg.data.sample import InspectableReader
from xseg.errors import ConfigError

_SHARED = {"camvid32": "camvid", "potsdam": "isprs", "vaihingen": "isprs"}
_SHARED |= dict.fromkeys(("ade20k", "cityscapes", "loveda"), "known_folders")
READERS: dict[str, str] = {name: f"xseg.data.readers.{_SHARED.get(name, name)}" for name in READER_NAMES}
"""Module of each reader."""
OWN = "xseg.data.readers.own"


def create_reader(options: DataOptions) -> InspectableReader:
    """Return the reader in the options: one of `READERS`, or a user's own by class path.

    Raises:
        ConfigError: if the options contradict each other, the variant is unknown, or colours are too close for the
            tolerance.
        DataError: if root is not a folder, a file with the classes or the list of images cannot be read, or the folds
            are those of other images.
        MissingExtraError: if an optional package is missing.
    """
    module = importlib.import_module(READERS.get(options.reader, OWN))
    reader: InspectableReader = module.create(options)
    pattern, splits = options.layout.files.valid, options.layout.splits
    if pattern or options.bands:
        if not isinstance(reader, FileReader):
            got = f"valid={pattern!r}" if pattern else f"channels={[*options.bands]}"
            raise ConfigError(f"{got} with reader={options.reader!r}", expected="a reader of image files")
        valid = partial(with_valid, Path(options.root), pattern) if pattern else None
        reader = replace(reader, valid=valid, bands=options.bands)
    return hold_out(reader, Path(splits.folds), splits.fold) if splits.folds else reader
