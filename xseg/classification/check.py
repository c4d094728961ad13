"""The look at every image before work begins."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from xseg.classification.folders import ClassFolders
from xseg.classification.options import Check
from xseg.data.sample import Record
from xseg.errors import DataError
from xseg.images.normalization import Normalization
from xseg.images.reading import image_size
from xseg.types import Split

MOST_DECODED = 10_000  # images: a minute or two on two cores
_SHOWN = 3
_MAX_THREADS = 16


@dataclass(frozen=True)
class Look:
    """What was found.

    Args:
        normalization: of the images' channels and range.
        broken: the name and the fault of each broken image, by split.
    """

    normalization: Normalization
    broken: Mapping[Split, Mapping[str, DataError]] = field(default_factory=dict)

    def summary(self) -> str:
        """Return the number of broken images, the first one's fault and further names, as one line."""
        faults = [(name, error) for found in self.broken.values() for name, error in found.items()]
        (_, first), *others = faults
        names = ", ".join(name for name, _ in others[:_SHOWN])
        more = f" (then {names}{f' and {len(others) - _SHOWN} more' if len(others) > _SHOWN else ''})" if others else ""
        return f"{len(faults)} broken {'image' if len(faults) == 1 else 'images'}, the first: {first.got}{more}"


def look_at(folders: ClassFolders, check: Check) -> Look:
    """Look at every image of every split, in threads.

    Args:
        folders: the data set.
        check: how closely.

    Raises:
        DataError: if not one training image can be read.
    """
    total = sum(len(files) for files in folders.files.values())
    closely = check == "pixels" or (check == "auto" and total <= MOST_DECODED)
    normalization = _normalization(folders)

    def look(record: Record) -> DataError | None:
        """Return what is wrong with an image."""
        try:
            if closely:
                _require_range(record, folders.read(record).image.dtype, normalization)
            else:
                image_size(record.image)
        except DataError as error:
            return error
        return None

    if check == "none":
        return Look(normalization)
    broken: dict[Split, dict[str, DataError]] = {}
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as threads:
        for split in folders.files:
            records = folders.records(split)
            found = zip(records, threads.map(look, records), strict=True)
            faults = {record.name: error for record, error in found if error is not None}
            if faults:
                broken[split] = faults
    return Look(normalization, broken)


def _normalization(folders: ClassFolders) -> Normalization:
    """Return the normalisation to [-1, 1] of what the first readable training image holds."""
    fault: DataError | None = None
    for record in folders.records("train"):
        try:
            dtype = folders.read(record).image.dtype
        except DataError as error:
            fault = fault or error
            continue
        maximum = float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1.0
        return Normalization.for_channels(folders.channels, maximum)
    raise DataError(
        f"no training image of {folders.root} can be read, the first: {fault.got if fault else 'none there'}",
        expected="whole image files",
    )


def _require_range(record: Record, dtype: np.dtype, normalization: Normalization) -> None:
    """Refuse an image of another depth than the first one's: their numbers would not mean the same."""
    maximum = float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1.0
    if maximum != normalization.maximum:
        raise DataError(
            f"{record.image} has {dtype} pixels, and the first training image has values up to "
            f"{normalization.maximum:g}",
            expected="images of one depth",
            remedy="convert it to 8 bits",
        )
