"""The dataset doctor in Python."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from xseg.api.data import DataSource, data_values
from xseg.api.parsing import parse_data
from xseg.api.progress import show_progress
from xseg.files.progress import NO_PROGRESS
from xseg.types import PathArgument

if TYPE_CHECKING:
    from xseg.doctor.examination import Examination


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
    values = data_values(data)
    options = parse_data(values)

    from xseg.data.readers.registry import create_reader
    from xseg.doctor.correction import check_destination, require_correctable, write_corrected
    from xseg.doctor.examination import examine, list_splits

    reader = create_reader(options)
    root = require_correctable(reader) if write_fixed else None
    if write_fixed and root:
        check_destination(write_fixed, root)
    found = examine(
        reader,
        options,
        list_splits(reader),
        workers=min(8, os.cpu_count() or 1) if workers is None else workers,
        show=NO_PROGRESS if quiet else show_progress,
    )
    if write_fixed and root:
        copied = write_corrected(found.summary, found.findings, root=root, destination=write_fixed)
        found = replace(found, correction=copied)
    return found
