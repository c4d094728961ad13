"""Data in Python: a YAML file, options, a reader, or data sets and lists of images and masks; and their check."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from xseg.api.parsing import parse_data, read_config
from xseg.api.progress import show_progress
from xseg.data.options import DataOptions
from xseg.files.progress import NO_PROGRESS
from xseg.types import SPLITS, PathArgument

if TYPE_CHECKING:
    from xseg.data.sample import Reader
    from xseg.doctor.examination import Examination

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


def check_data(
    data: DataSource, *, workers: int | None = None, write_fixed: PathArgument | None = None, quiet: bool = False
) -> Examination:
    """Check every file of a data set, as `xseg data check`, and return faults, places and remedies.

    Args:
        data: data set, as for `xseg.train`.
        workers: number of processes that decode files; None for up to 8.
        write_fixed: folder for a copy of the data set with all faults corrected that need no judgement; None for none.
        quiet: whether to show no progress.

    Raises:
        XsegError: if an option is wrong, or the data set does not exist.
    """
    values = data_values(data)  # a variable, which keeps its objects alive
    options = parse_data(values)

    from xseg.data.readers.registry import create_reader
    from xseg.doctor.correction import check_destination, require_correctable, write_corrected
    from xseg.doctor.examination import examine, list_splits

    reader = create_reader(options)
    root = require_correctable(reader) if write_fixed else None
    if write_fixed and root:
        check_destination(write_fixed, root)
    workers = min(8, os.cpu_count() or 1) if workers is None else workers
    show = NO_PROGRESS if quiet else show_progress
    found = examine(reader, options, list_splits(reader), workers=workers, show=show)
    if write_fixed and root:
        copied = write_corrected(found.summary, found.findings, root=root, destination=write_fixed)
        found = replace(found, correction=copied)
    return found
