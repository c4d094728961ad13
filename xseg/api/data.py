"""Data in Python: a YAML file, options, a reader, or data sets and lists of images and masks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias

from xseg.api.parsing import parse_data, read_config
from xseg.data.options import DataOptions
from xseg.types import SPLITS, PathArgument

if TYPE_CHECKING:
    from xseg.data.sample import Reader

DataSource: TypeAlias = "PathArgument | Mapping[str, Any] | DataOptions | Reader"
"""A YAML file with data options, or a training's configuration; data options; a reader; or a dictionary of "train",
"val", "test" and "classes", and of data options. Each of the three splits is a map-style data set of (image, mask), or
a tuple of two lists of equal length, with images and masks as arrays or as paths."""


def data_values(data: DataSource) -> dict[str, Any]:
    """Return data options by name; a reader among them may be an object.

    Raises:
        ConfigError: if a file cannot be read.
        DataError: if images and masks do not fit each other.
    """
    if isinstance(data, DataOptions):
        return asdict(data)
    if isinstance(data, str | os.PathLike):
        found = read_config(data)
        return dict(found["data"] if isinstance(found.get("data"), Mapping) else found)
    values: dict[str, Any] = dict(data) if isinstance(data, Mapping) else {"reader": data}
    parts = {split: values.pop(split) for split in SPLITS if split in values}
    if parts:
        from xseg.data.readers.given import given_reader  # imports what --help does not need

        layout = parse_data({"layout": values.get("layout", {})}).layout
        values["reader"] = given_reader(parts, values.pop("classes", ()), layout, values.get("channels"))
    if hasattr(values.get("reader"), "channels"):
        values["channels"] = values["reader"].channels
    return values
