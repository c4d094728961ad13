"""LabelMe: a JSON file with shapes beside each image."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from xseg.data.label_files import classes_of, label_file
from xseg.data.layout import LabelOptions
from xseg.data.masks.labelme import IGNORED, LabelMeShapes, labels_in
from xseg.data.masks.numbers import mask_of
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, root_folder
from xseg.data.patterns import SPLIT, find_files
from xseg.data.readers.folder import require_division
from xseg.data.sample import Record
from xseg.data.splits import Listing, SplitPlan
from xseg.errors import DataError
from xseg.labels.label_map import LabelMap

BACKGROUND = "_background_"
"""LabelMe's own label for pixels that no shape covers."""
_JSON = frozenset({".json"})


def _pairs(root: Path, images: str, shapes: str, split: str) -> tuple[Record, ...]:
    """Return LabelMe's JSON files of a split with the images of the same name; images without one are left out."""
    found = find_files(root, images.replace(SPLIT, split), split)
    files = find_files(root, shapes.replace(SPLIT, split), split, suffixes=_JSON)
    alone = [str(path) for name, path in files.items() if name not in found]
    if alone:
        got = f"{len(alone)} of {len(files)} JSON files of the {split} split have no image: {', '.join(alone[:3])}"
        raise DataError(got, expected=f"an image with the same name in {root / images.replace(SPLIT, split)}")
    return tuple(Record(name, found[name], path) for name, path in files.items())


def create(options: DataOptions) -> FileReader:
    """Return the reader for images and JSON files in root.

    By default, they are in train/, val/ and test/ or, if these do not exist, anywhere in root and split by
    layout.splits.fractions. If neither options nor a file list the classes, they are the labels of the training split.
    """
    root = root_folder(options.root)
    files, splits = options.layout.files, SplitPlan.of(options.layout.splits)
    usual = SPLIT if (root / splits.names[0]).is_dir() else ""
    images = files.images or usual
    require_division(images, splits, "images")
    listing = partial(_pairs, root, images, files.masks or images)
    known = _classes(root, options.layout.labels, listing, splits.names[0])
    background = options.layout.labels.background
    if background not in known.names and BACKGROUND in known.names:
        background = BACKGROUND
    return FileReader(known, options.channel_count, listing, LabelMeShapes(known, background), splits)


def _classes(root: Path, labels: LabelOptions, listing: Listing, train: str) -> LabelMap:
    if labels.classes or label_file(root, labels) is not None:
        known = classes_of(root, labels)
        kept = [(name, color) for name, color in zip(known.names, known.colors, strict=True) if name != IGNORED]
        return LabelMap(tuple(name for name, _ in kept), tuple(color for _, color in kept), known.ignore_index)
    used = labels_in((mask_of(record) for record in listing(train)), os.cpu_count() or 1)
    first = (labels.background,) if labels.background else ()
    return LabelMap((*first, *(name for name in used if name not in first)), ignore_index=labels.ignore_index)
