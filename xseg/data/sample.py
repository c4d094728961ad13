"""What a data set is made of: records that name files, samples that hold pixels, and the reader that links them."""

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
    """One image of a split and where its label is; holds no pixels.

    Args:
        name: unique within the split: the path relative to the split's folder without suffix, "/" separated.
        image: the image's file; a made-up path where the reader generates its images.
        mask: the file that holds the label: a mask, or a text with shapes, which may be that of many images; None if
            the image has no label.
        parts: where each class has a file of its own, these files in the order of the classes, None where the class
            is absent; `mask` is then the first of them. Empty otherwise.
    """

    name: str
    image: Path
    mask: Path | None
    parts: tuple[Path | None, ...] = ()


@dataclass(frozen=True, eq=False)
class Sample:
    """One decoded image with its label.

    Args:
        name: the record's name.
        image: (H, W, C) uint8, uint16 or float32; channels in RGB order where there are three.
        mask: (H, W) uint8 or uint16 train ids, `ignore_index` where ignored; None if the image has no label.
    """

    name: str
    image: Array
    mask: Array | None


@dataclass(frozen=True)
class Inspection:
    """What a look at a pair of files found, without decoding the image.

    Args:
        size: height and width of the image in pixels, as a person sees it.
        values: pixels per number of the label, before it becomes a train id; empty if there is no mask. Where a label
            tells classes otherwise (by colours, by shapes), its numbers are the label map's raw ids.
    """

    size: tuple[int, int]
    values: dict[int, int]


class Reader(Protocol):
    """One data set's layout: which records a split has, and how one is read.

    A reader is safe to copy to worker processes and to call from threads.

    Attributes:
        labels: the classes of the masks that `read` returns.
        channels: the number of channels of the images that `read` returns.
    """

    @property
    def labels(self) -> LabelMap:
        """The classes of the masks that `read` returns."""

    @property
    def channels(self) -> int:
        """The number of channels of the images that `read` returns."""

    def records(self, split: Split) -> tuple[Record, ...]:
        """Return the records of a split, sorted by name.

        Raises:
            DataError: if a folder is missing or empty, or an image has no mask.
        """

    def read(self, record: Record) -> Sample:
        """Decode a record; the mask holds train ids.

        Raises:
            DataError: if a file cannot be read, the sizes differ, or the mask has a value without a meaning.
        """


@runtime_checkable
class InspectableReader(Reader, Protocol):
    """A reader whose records can be looked at more cheaply than they are read, before work begins."""

    def inspect(self, record: Record) -> Inspection:
        """Look at a record without decoding its image.

        Raises:
            DataError: as `read` does, but for damage inside the image's pixels.
        """


class ClassReader(Reader, Protocol):
    """A reader of images that each show one class, as a whole: its samples have no mask."""

    def targets(self, split: Split) -> tuple[int, ...]:
        """Return the classes of a split's images, in the order of `records`."""
