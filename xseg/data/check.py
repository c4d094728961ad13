"""The look at every pair of files before work begins, so that a wrong one costs seconds and not a night."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from xseg.data.sample import InspectableReader, Inspection, Record
from xseg.errors import DataError
from xseg.labels import LabelMap
from xseg.types import Split

_SHOWN = 3  # names in a message
_MAX_THREADS = 16  # decoders release the interpreter's lock, so threads help up to the number of cores


@dataclass(frozen=True)
class SplitCheck:
    """What a sound split holds.

    Args:
        images: number of images.
        sizes: number of images per height and width in pixels.
        values: number of pixels per value of the masks' files; empty where nothing is stored.
    """

    images: int
    sizes: dict[tuple[int, int], int]
    values: dict[int, int]


def check_split(reader: InspectableReader, split: Split) -> SplitCheck:
    """Look at every record of a split, in threads.

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

    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as threads:
        looks = list(threads.map(look, records))
    wrong = [(record, found) for record, found in zip(records, looks, strict=True) if isinstance(found, DataError)]
    if wrong:
        raise _summary(wrong, len(records), split)
    sound = [found for found in looks if isinstance(found, Inspection)]
    values: Counter[int] = Counter()
    for found in sound:
        values.update(found.values)
    if values:
        _check_something_to_learn(set(values), reader.labels, split)
    return SplitCheck(len(sound), dict(Counter(found.size for found in sound)), dict(sorted(values.items())))


def _summary(wrong: list[tuple[Record, DataError]], total: int, split: Split) -> DataError:
    """Return one error for all wrong records; a single one is told as it is."""
    (_, first), *others = wrong
    if not others:
        return first
    names = ", ".join(record.name for record, _ in others[:_SHOWN])
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return DataError(
        f"{len(wrong)} of {total} records of the {split} split are wrong, the first: {first.got} (then {names}{more})",
        expected=first.expected,
        remedy=first.remedy,
    )


def _check_something_to_learn(values: set[int], labels: LabelMap, split: Split) -> None:
    """Refuse masks of which every pixel is ignored, or every pixel but those of one class in a 0-and-255 mask."""
    train_ids = labels.train_ids()
    if values == {0, 255} and len(labels) == 2 and train_ids[0] != train_ids[255] == labels.ignore_index:
        raise DataError(
            f"the masks of the {split} split hold only the values 0 and 255, and 255 means ignore",
            expected="a value for each of 2 classes",
            remedy="if 255 is the second class, set raw_ids to [0, 255]",
        )
    if all(train_ids[value] == labels.ignore_index for value in values):
        raise DataError(
            f"every pixel of the masks of the {split} split is ignored (values {sorted(values)})",
            expected=f"values of the classes, {', '.join(map(str, labels.raw_ids[:20]))}",
            remedy="check raw_ids and ignored_raw_ids",
        )
