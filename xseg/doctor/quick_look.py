"""Quick check of all files before training, so that a wrong file costs seconds instead of a night.

It decodes masks but not images, and runs the doctor's checks that need no more.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from xseg.data.masks.numbers import class_pixels
from xseg.data.options import FileCheck
from xseg.data.readers.class_folders import ClassFolders
from xseg.data.sample import Array, InspectableReader, Inspection, Reader, Record
from xseg.doctor.channels import largest_value
from xseg.doctor.finding import Finding, listed
from xseg.doctor.look import has_numeric_masks
from xseg.doctor.summary import DataSummary, ImageSummary, MaskSummary, PairSummary, SplitSummary, pixels_by_class
from xseg.doctor.table import CHEAP_CHECKS, run_checks
from xseg.errors import DataError
from xseg.images.normalization import Normalization
from xseg.images.reading import image_size
from xseg.types import Split

_SHOWN = 3  # names in a message
_MAX_THREADS = 16  # decoders release the interpreter's lock, so threads help up to the number of cores
MOST_DECODED = 10_000  # images of classes: a minute or two on two cores
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class SplitCheck:
    """Summary of a split without errors.

    Args:
        images: number of images.
        sizes: number of images per height and width in pixels.
        values: number of pixels per label number; empty if no numbers are stored.
        class_pixels: labelled pixels of each image and class, (images, classes) int64.
        findings: warnings and notes of the quick checks.
    """

    images: int
    sizes: dict[tuple[int, int], int]
    values: dict[int, int]
    class_pixels: NDArray[np.int64]
    findings: tuple[Finding, ...] = ()


def check_split(reader: InspectableReader, split: Split, *, crop: tuple[int, int] = (1, 1)) -> SplitCheck:
    """Check every record of a split, in threads; images below `crop`, height and width in pixels, give a warning.

    Raises:
        DataError: if records are wrong, with their number, the first fault and further names in one line; or if the
            masks leave nothing to learn.
    """
    records = reader.records(split)

    def look(record: Record) -> Inspection | DataError:
        try:
            return reader.inspect(record)
        except DataError as error:  # returned, so that all pairs are inspected
            return error

    looks = _in_threads(look, records)
    wrong = [(record, found) for record, found in zip(records, looks, strict=True) if isinstance(found, DataError)]
    if wrong:
        raise _joint_error(wrong, len(records), split)
    sound = [found for found in looks if isinstance(found, Inspection)]
    pairs = tuple(
        PairSummary(record.name, image=ImageSummary(found.size), mask=_mask(found))
        for record, found in zip(records, sound, strict=True)
    )
    splits = {split: SplitSummary(pairs)}
    summary = DataSummary(reader.labels, reader.channels, crop, splits, has_numeric_masks(reader))
    findings = run_checks(summary, CHEAP_CHECKS)
    for finding in findings:
        if finding.severity == "error":
            raise DataError(finding.title, remedy=finding.remedy)
    return SplitCheck(
        len(sound),
        dict(Counter(found.size for found in sound)),
        dict(sorted(summary.splits[split].values().items())),
        np.array([pixels_by_class(found.values, summary.train_ids(), reader.labels) for found in sound], np.int64),
        tuple(findings),
    )


def count_class_pixels(reader: Reader, records: Sequence[Record]) -> NDArray[np.int64]:
    """Count the labelled pixels of each record and class, in threads.

    Returns:
        (records, classes) int64.

    Raises:
        DataError: if a record cannot be read or has no mask.
    """

    def count(record: Record) -> NDArray[np.int64]:
        # if possible without decoding the image
        if isinstance(reader, InspectableReader) and (values := reader.inspect(record).values):
            return np.array(pixels_by_class(values, reader.labels.train_ids(), reader.labels), np.int64)
        if (mask := reader.read(record).mask) is None:
            raise DataError(f"training image {record.image} has no mask", expected="one mask per training image")
        return class_pixels(mask, len(reader.labels))

    return np.stack(_in_threads(count, records))


def _mask(found: Inspection) -> MaskSummary | None:
    return MaskSummary(found.size, "", found.values) if found.values else None


def _in_threads(work: Callable[[Record], Result], records: Sequence[Record]) -> list[Result]:
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as threads:
        return list(threads.map(work, records))


def _joint_error(wrong: list[tuple[Record, DataError]], total: int, split: Split) -> DataError:
    """Return one error for all wrong records; a single error is returned unchanged."""
    (_, first), *others = wrong
    if not others:
        return first
    then = listed([record.name for record, _ in others], _SHOWN)
    got = f"{len(wrong)} of {total} records of the {split} split are wrong, the first: {first.got} (then {then})"
    return DataError(got, expected=first.expected, remedy=first.remedy)


@dataclass(frozen=True)
class ClassCheck:
    """Normalisation for channels and range of images in class folders, and name and fault of broken ones by split."""

    normalization: Normalization
    broken: Mapping[Split, Mapping[str, DataError]] = field(default_factory=dict)

    def summary(self) -> str:
        """Return the number of broken images, the first fault and further names in one line."""
        faults = [(name, error) for found in self.broken.values() for name, error in found.items()]
        (_, first), *others = faults
        then = f" (then {listed([name for name, _ in others], _SHOWN)})" if others else ""
        return f"{len(faults)} broken {'image' if len(faults) == 1 else 'images'}, the first: {first.got}{then}"


def look_at_classes(folders: ClassFolders, check: FileCheck) -> ClassCheck:
    """Check every image of every split, in threads, as thoroughly as `check` requests.

    Raises:
        DataError: if no training image can be read.
    """
    total = sum(len(files) for files in folders.files.values())
    closely = check == "pixels" or (check == "auto" and total <= MOST_DECODED)
    normalization = _normalization(folders)

    def look(record: Record) -> DataError | None:
        try:
            if closely:
                _require_range(record, folders.read(record).image, normalization)
            else:
                image_size(record.image)
        except DataError as error:
            return error
        return None

    broken: dict[Split, dict[str, DataError]] = {}
    for split in folders.files if check != "none" else ():
        records = folders.records(split)
        looks = zip(records, _in_threads(look, records), strict=True)
        faults = {record.name: error for record, error in looks if error is not None}
        if faults:
            broken[split] = faults
    return ClassCheck(normalization, broken)


def _normalization(folders: ClassFolders) -> Normalization:
    """Return the normalisation to [-1, 1] for the type of the first readable training image."""
    fault = "none there"
    for record in folders.records("train"):
        try:
            image = folders.read(record).image
        except DataError as error:
            fault = error.got if fault == "none there" else fault
            continue
        return Normalization.for_channels(folders.channels, largest_value(str(image.dtype)))
    got = f"no training image of {folders.root} can be read, the first: {fault}"
    raise DataError(got, expected="complete image files")


def _require_range(record: Record, image: Array, normalization: Normalization) -> None:
    """Raise an error if an image has another depth than the first one."""
    if largest_value(str(image.dtype)) != normalization.maximum:
        first = f"the first training image has values up to {normalization.maximum:g}"
        got = f"{record.image} has {image.dtype} pixels, and {first}"
        raise DataError(got, expected="images of one depth", remedy="convert it to 8 bits")
