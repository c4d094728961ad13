"""Folders of images and masks, with classes from a file or options."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from xseg.data.label_files import classes_of, label_file
from xseg.data.layout import LabelOptions
from xseg.data.masks.binary import BandMasks, BinaryMasks, ClassFileMasks
from xseg.data.masks.colors import ColorMasks, discover_colors
from xseg.data.masks.numbers import mask_of, read_index_mask
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader, MaskDecoder, root_folder
from xseg.data.patterns import CLASS, NAME, SPLIT, FolderListing
from xseg.data.splits import Listing, SplitPlan
from xseg.errors import ConfigError
from xseg.labels.label_map import LabelMap

BINARY_CLASSES = ("background", "foreground")


def create(options: DataOptions) -> FileReader:
    """Return the reader for the folders or globs in the options."""
    root = root_folder(options.root)
    files, labels, splits = options.layout.files, options.layout.labels, SplitPlan.of(options.layout.splits)
    images, masks = files.images or "{split}/images", files.masks or "{split}/masks"
    require_division(images, splits, "images")
    if (CLASS in masks) != (labels.encoding == "files"):
        got = f"masks={masks!r} with encoding={labels.encoding!r}"
        raise ConfigError(got, expected=f'{CLASS} in masks if and only if encoding is "files"')
    if NAME in images and NAME not in masks:
        raise ConfigError(f"masks={masks!r} with images={images!r}", expected=f"{NAME} in both")
    listing = FolderListing(root, images, masks, valid=files.valid)
    known = known_classes(root, labels, listing, splits.names[0])
    if labels.encoding == "files":
        listing = replace(listing, classes=known.names)
    return FileReader(known, options.channel_count, listing, decoder_of(known, labels), splits)


def require_division(pattern: str, splits: SplitPlan, what: str) -> None:
    """Check that train, val and test are not the same files.

    Raises:
        ConfigError: if a pattern has no {split} and layout.splits.fractions is not set.
    """
    if SPLIT not in pattern and not splits.fractions:
        got = f"{what}={pattern!r} is the same for train, val and test"
        expected = "{split} in it, or layout.splits.fractions"
        raise ConfigError(got, expected=expected, remedy="set layout.splits.fractions, for example [0.8, 0.1, 0.1]")


def known_classes(root: Path, labels: LabelOptions, listing: Listing, train: str) -> LabelMap:
    """Return the classes from options, a file, or the encoding.

    Args:
        root: folder of the data set.
        labels: label options.
        listing: listing of the masks, whose colours become the classes if there are no others.
        train: name of the training split in the data set.

    Raises:
        ConfigError: if the options contradict each other.
        DataError: if there are no classes, or a file cannot be read.
    """
    if not labels.classes and label_file(root, labels) is None:
        if labels.encoding == "binary":
            return LabelMap(BINARY_CLASSES, ignore_index=labels.ignore_index)
        if labels.encoding == "color":
            found = discover_colors(map(mask_of, listing(train)), os.cpu_count() or 1)
            colors = tuple(color for color in found if color not in labels.ignored_colors)
            names = tuple("#{:02x}{:02x}{:02x}".format(*color) for color in colors)
            return LabelMap(names, colors, ignore_index=labels.ignore_index)
    known = classes_of(root, labels)
    if labels.encoding == "binary" and len(known) != 2:
        raise ConfigError(f"{len(known)} classes with encoding='binary'", expected="2, for black and white")
    return known


def decoder_of(known: LabelMap, labels: LabelOptions) -> MaskDecoder:
    """Return the decoder for the mask encoding in the options.

    Raises:
        ConfigError: if colours are too close for the tolerance.
    """
    if known.overlapping:
        if labels.encoding not in ("files", "bands"):
            raise ConfigError(f"encoding={labels.encoding!r} with overlapping classes", expected="files or bands")
        return BandMasks(known, labels.tolerance)
    if labels.encoding == "binary":
        return BinaryMasks(known, labels.tolerance)
    if labels.encoding == "color":
        return ColorMasks(known, labels.ignored_colors, labels.tolerance)
    if labels.encoding == "files":
        return ClassFileMasks(known, labels.background, labels.tolerance)
    return read_index_mask
