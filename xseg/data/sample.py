"""Parts of a data set: records with file names, samples with pixels, and the reader protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from xseg.labels.label_map import LabelMap
from xseg.types import Split

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Record:
    """Files of one image and its label, without pixels.

    Args:
        name: unique name in the split: the path relative to its folder, without suffix and separated by "/".
        image: path of the image; an invented path for generated images.
        mask: path of the label: a mask, or a text file with shapes, possibly of many images; None if the image has no
            label.
        parts: if each class has its own file, these files in the order of the classes, with None for absent classes;
            `mask` is then the first of them. Empty otherwise.
        valid: path of the mask of the valid region, outside which the label is ignored; None for the whole image.
    """

    name: str
    image: Path
    mask: Path | None
    parts: tuple[Path | None, ...] = ()
    valid: Path | None = None


@dataclass(frozen=True, eq=False)
class Sample:
    """One decoded image with its label.

    Args:
        name: name of the record.
        image: image, (H, W, C) uint8, uint16 or float32; three channels are in RGB order.
        mask: train ids, (H, W) uint8 or uint16, with `ignore_index` for ignored pixels; (H, W, classes) uint8 of 0, 1
            and `ignore_index` if classes overlap; None if the image has no label.
    """

    name: str
    image: Array
    mask: Array | None


@dataclass(frozen=True)
class Inspection:
    """Result of inspecting a pair of files without decoding the image.

    Args:
        size: height and width of the image in pixels after EXIF orientation.
        values: number of pixels per label number, before conversion to train ids; empty if there is no mask. For labels
            without numbers (colours, shapes), the numbers are the label map's raw ids.
    """

    size: tuple[int, int]
    values: dict[int, int]


class Reader(Protocol):
    """Reader of a data set: lists the records of a split and reads them.

    A reader can be copied to worker processes and called from threads.
    """

    @property
    def labels(self) -> LabelMap:
        """Classes of the masks from `read`."""

    @property
    def channels(self) -> int:
        """Number of channels of the images from `read`."""

    def records(self, split: Split) -> tuple[Record, ...]:
        """Return the records of a split, sorted by name.

        Raises:
            DataError: if a folder is missing or empty, or an image has no mask.
        """

    def read(self, record: Record) -> Sample:
        """Decode a record; the mask holds train ids.

        Raises:
            DataError: if a file cannot be read, the sizes differ, or the mask has an unknown value.
        """


@runtime_checkable
class InspectableReader(Reader, Protocol):
    """A reader that can inspect records without decoding their images."""

    def inspect(self, record: Record) -> Inspection:
        """Inspect a record without decoding its image.

        Raises:
            DataError: as in `read`, except for damaged pixels of the image.
        """


class ClassReader(Reader, Protocol):
    """A reader of images with one class each; its samples have no mask."""

    def targets(self, split: Split) -> tuple[int, ...]:
        """Return the class of each image in a split, in the order of `records`."""
