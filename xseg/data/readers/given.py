"""Reader for data sets and lists in Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xseg.data.layout import LayoutOptions
from xseg.data.pairs import FileReader
from xseg.data.readers.dataset import DatasetReader, PairDataset, blaming
from xseg.data.readers.folder import decoder_of, known_classes
from xseg.data.sample import Record
from xseg.data.splits import SplitPlan
from xseg.errors import DataError
from xseg.labels.label_map import LabelMap
from xseg.types import PathArgument, Split

_PATH = (str, os.PathLike)


class BinaryPairs:
    """A data set of images and masks in which every number above 0 is the second class."""

    def __init__(self, pairs: PairDataset) -> None:
        self._pairs = pairs

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return a pair."""
        image, mask = self._pairs[index]
        return image, (np.asarray(mask) > 0).astype(np.uint8)


def given_reader(
    parts: Mapping[Split, Any], classes: Sequence[str] | LabelMap, layout: LayoutOptions, channels: int | None
) -> FileReader | DatasetReader:
    """Return the reader of data sets in Python.

    Args:
        parts: data set of each split: a map-style data set of (image, mask), or a tuple of two sequences of images and
            masks, as arrays or as paths. Classes overlap if masks are arrays with a band per class.
        classes: class names, or label map of the mask numbers; empty for those in the layout.
        layout: splits and mask encoding.
        channels: number of image channels; None for that of the first array.

    Raises:
        ConfigError: if the options contradict each other.
        DataError: if images and masks do not fit each other, or there are no classes.
    """
    for split, part in parts.items():
        if isinstance(part, tuple) and (len(part) != 2 or len(part[0]) != len(part[1])):
            sizes = " and ".join(str(len(each)) for each in part)
            raise DataError(f"data[{split!r}] is a tuple of {sizes} items", expected="as many images as masks")
    options = layout.labels
    if classes and not isinstance(classes, LabelMap):
        options = replace(options, classes=tuple(classes))
    plan = SplitPlan.of(layout.splits)
    files = all(isinstance(part, tuple) and len(part[0]) and isinstance(part[0][0], _PATH) for part in parts.values())
    records: dict[str, tuple[Record, ...]] = {split: _records(*part) for split, part in parts.items() if files}
    listing = partial(_listed, records)
    labels = classes if isinstance(classes, LabelMap) else known_classes(Path(), options, listing, plan.names[0])
    if files:
        return FileReader(labels, channels or 3, listing, decoder_of(labels, options), splits=plan)
    sets: dict[str, PairDataset] = {}
    for split, part in parts.items():
        pairs = list(zip(*part, strict=True)) if isinstance(part, tuple) else part
        sets[split] = BinaryPairs(pairs) if options.encoding == "binary" else pairs
    with blaming("the first item of data"):
        image, mask = next(iter(sets.values()))[0]
    if np.ndim(mask) == 3 and np.shape(mask)[2] == len(labels):
        labels = replace(labels, overlapping=True)
    elif len(labels) == 2 and labels.ignore_index == 255 and {*np.unique(mask).tolist()} == {0, 255}:
        got = "data has masks of 0 and 255, and 255 means ignored"
        raise DataError(got, expected="0 and 1", remedy='add "layout": {"labels": {"encoding": "binary"}} to data')
    if channels is None:
        shape = np.shape(image)
        channels = shape[2] if len(shape) == 3 else 1
    return DatasetReader(sets, labels, channels=channels, splits=plan, name="data")


def _listed(records: Mapping[str, tuple[Record, ...]], split: str) -> tuple[Record, ...]:
    """Return the records of a split."""
    if split not in records:
        raise DataError(f"data has no split {split!r}", expected=f"one of {', '.join(records)}")
    return records[split]


def _records(images: Sequence[PathArgument], masks: Sequence[PathArgument]) -> tuple[Record, ...]:
    """Return records with names relative to the common folder of the images."""
    paths = [Path(image).absolute() for image in images]
    folder = os.path.commonpath([path.parent for path in paths])
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in paths]
    return tuple(Record(*each) for each in zip(names, paths, map(Path, masks), strict=True))
