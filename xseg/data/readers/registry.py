"""Which readers there are. A new layout is a module with `create(options)` and its name in `ReaderName`."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from xseg.data.layout import READER_NAMES, ReaderName
from xseg.data.options import DataOptions
from xseg.data.sample import Reader

READERS: dict[ReaderName, str] = {name: f"xseg.data.readers.{name}" for name in READER_NAMES}
"""The module of each reader."""


def create_reader(options: DataOptions) -> Reader:
    """Return the reader that the options name.

    Raises:
        ConfigError: if the options contradict each other.
        DataError: if the data set is not where the options say.
        MissingExtraError: if it needs an optional package.
    """
    create: Callable[[DataOptions], Reader] = importlib.import_module(READERS[options.reader]).create
    return create(options)
