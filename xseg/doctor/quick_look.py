"""The look at every file before work begins, so that a wrong one costs seconds and not a night.

It is the cheap half of the doctor: masks are decoded, images are not, and those of the doctor's checks are run that
need no more.
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

from xseg.data.options import FileCheck
from xseg.data.readers.class_folders import ClassFolders
from xseg.data.sample import Array, InspectableReader, Inspection, Reader, Record
from xseg.doctor.finding import Finding
from xseg.doctor.look import is_plain
from xseg.doctor.summary import Facts, ImageFacts, MaskFacts, PairFacts, SplitFacts
from xseg.doctor.table import CHEAP_CHECKS, run_checks
from xseg.errors import DataError
from xseg.images.normalization import Normalization
from xseg.images.reading import image_size
from xseg.labels.label_map import LabelMap
from xseg.types import Split

_SHOWN = 3  # names in a message
_MAX_THREADS = 16  # decoders release the interpreter's lock, so threads help up to the number of cores
_ANY_CROP = (1, 1)
MOST_DECODED = 10_000  # images of classes: a minute or two on two cores
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class SplitCheck:
    """What a sound split holds.

    Args:
        images: number of images.
        sizes: number of images per height and width in pixels.
        values: number of pixels per number of the labels; empty where nothing is stored.
        class_pixels: labelled pixels of each image and class, (images, classes) int64.
        findings: what the doctor's cheap checks have to say, short of errors: "warning" and "note".
    """

    images: int
    sizes: dict[tuple[int, int], int]
    values: dict[int, int]
    class_pixels: NDArray[np.int64]
    findings: tuple[Finding, ...] = ()


def check_split(reader: InspectableReader, split: Split, *, crop: tuple[int, int] = _ANY_CROP) -> SplitCheck:
    """Look at every record of a split, in threads.

    Args:
        reader: the data set.
        split: train, val or test.
        crop: height and width in pixels of a training crop, which images should not be smaller than.

    Returns:
        The sizes and values that were found.

    Raises:
        DataError: if records are wrong: one line with their number, the first one's fault, and further names; or if
            the masks as a whole leave nothing to learn.
    """
    records = reader.records(split)

    def look(record: Record) -> Inspection | DataError:
        """Inspect one pair; an error is a result, for the others to be looked at too."""
        try:
            return reader.inspect(record)
        except DataError as error:
            return error

    looks = _in_threads(look, records)
    wrong = [(record, found) for record, found in zip(records, looks, strict=True) if isinstance(found, DataError)]
    if wrong:
        raise _summary(wrong, len(records), split)
    sound = [found for found in looks if isinstance(found, Inspection)]
    facts = _facts(reader, split, records, sound, crop)
    findings = run_checks(facts, CHEAP_CHECKS)
    for finding in findings:
        if finding.severity == "error":
            raise DataError(finding.title, remedy=finding.remedy)
    values: Counter[int] = Counter()
    for found in sound:
        values.update(found.values)
    return SplitCheck(
        len(sound),
        dict(Counter(found.size for found in sound)),
        dict(sorted(values.items())),
        np.stack([_class_pixels(found.values, facts.train_ids(), reader.labels) for found in sound]),
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
        """Count one record's pixels, without decoding its image where that is possible."""
        if isinstance(reader, InspectableReader):
            values = reader.inspect(record).values
            if values:
                return _class_pixels(values, reader.labels.train_ids(), reader.labels)
        mask = reader.read(record).mask
        if mask is None:
            raise DataError(f"training image {record.image} has no mask", expected="one mask per training image")
        counts = np.bincount(mask.ravel(), minlength=len(reader.labels))
        return counts[: len(reader.labels)].astype(np.int64)

    return np.stack(_in_threads(count, records))


def _in_threads(work: Callable[[Record], Result], records: Sequence[Record]) -> list[Result]:
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as threads:
        return list(threads.map(work, records))


def _facts(
    reader: InspectableReader,
    split: Split,
    records: Sequence[Record],
    sound: Sequence[Inspection],
    crop: tuple[int, int],
) -> Facts:
    pairs = tuple(
        PairFacts(
            record.name,
            image=ImageFacts.of_size(found.size),
            mask=MaskFacts(found.size, "", found.values) if found.values else None,
        )
        for record, found in zip(records, sound, strict=True)
    )
    return Facts(reader.labels, reader.channels, crop, {split: SplitFacts(pairs)}, is_plain(reader))


def _class_pixels(values: dict[int, int], train_ids: dict[int, int], labels: LabelMap) -> NDArray[np.int64]:
    counts = np.zeros(len(labels), np.int64)
    for value, pixels in values.items():
        if train_ids[value] != labels.ignore_index:
            counts[train_ids[value]] += pixels
    return counts


def _summary(wrong: list[tuple[Record, DataError]], total: int, split: Split) -> DataError:
    """Return one error for all wrong records; a single one is told as it is."""
    (_, first), *others = wrong
    if not others:
        return first
    names = _and_more([record.name for record, _ in others])
    return DataError(
        f"{len(wrong)} of {total} records of the {split} split are wrong, the first: {first.got} (then {names})",
        expected=first.expected,
        remedy=first.remedy,
    )


def _and_more(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


@dataclass(frozen=True)
class ClassCheck:
    """What a look at images of classes found.

    Args:
        normalization: that of the images' channels and range.
        broken: name and fault of each broken image, by split.
    """

    normalization: Normalization
    broken: Mapping[Split, Mapping[str, DataError]] = field(default_factory=dict)

    def summary(self) -> str:
        """Return the number of broken images, the first one's fault and further names, as one line."""
        faults = [(name, error) for found in self.broken.values() for name, error in found.items()]
        (_, first), *others = faults
        then = f" (then {_and_more([name for name, _ in others])})" if others else ""
        return f"{len(faults)} broken {'image' if len(faults) == 1 else 'images'}, the first: {first.got}{then}"


def look_at_classes(folders: ClassFolders, check: FileCheck) -> ClassCheck:
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
    """Return the normalisation to [-1, 1] of what the first readable training image holds."""
    fault = "none there"
    for record in folders.records("train"):
        try:
            image = folders.read(record).image
        except DataError as error:
            fault = error.got if fault == "none there" else fault
            continue
        return Normalization.for_channels(folders.channels, _maximum(image))
    raise DataError(
        f"no training image of {folders.root} can be read, the first: {fault}", expected="whole image files"
    )


def _maximum(image: Array) -> float:
    return float(np.iinfo(image.dtype).max) if np.issubdtype(image.dtype, np.integer) else 1.0


def _require_range(record: Record, image: Array, normalization: Normalization) -> None:
    """Refuse an image of another depth than the first one's: their numbers would not mean the same.

    Raises:
        DataError: if it has one.
    """
    if _maximum(image) != normalization.maximum:
        raise DataError(
            f"{record.image} has {image.dtype} pixels, and the first training image has values up to "
            f"{normalization.maximum:g}",
            expected="images of one depth",
            remedy="convert it to 8 bits",
        )
