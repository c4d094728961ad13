"""Which readers there are. A new layout is a module with `create(options)` and a row here."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from xseg.data.options import DataOptions, ReaderName
from xseg.data.sample import Reader

READERS: dict[ReaderName, str] = {
    "camvid": "xseg.data.readers.camvid:create",
    "folder": "xseg.data.readers.folder:create",
    "scenes": "xseg.data.readers.scenes:create",
}


def create_reader(options: DataOptions) -> Reader:
    """Return the reader that the options name.

    Raises:
        ConfigError: if the options contradict each other.
        DataError: if the data set is not where the options say.
    """
    module, _, function = READERS[options.reader].partition(":")
    create: Callable[[DataOptions], Reader] = getattr(importlib.import_module(module), function)
    return create(options)
