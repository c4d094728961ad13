"""Images and masks in files: how they are read and looked at, whatever lists them and however masks tell classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from xseg.data.masks.numbers import check_values, count_values, read_index_mask, to_train_ids
from xseg.data.patterns import NAME, FolderListing
from xseg.data.sample import Array, Inspection, Record, Sample
from xseg.data.splits import Listing, SplitPlan
from xseg.errors import DataError
from xseg.images.reading import image_size, read_image
from xseg.labels.label_map import LabelMap
from xseg.types import Split

MaskDecoder: TypeAlias = Callable[[Record], Array]
"""Turns the label of a record into numbers, (H, W) uint8 or uint16, which the label map turns into train ids."""


@dataclass(frozen=True)
class FileReader:
    """Reads images and labels in files.

    Args:
        labels: what the numbers that `decode` gives mean.
        channels: of the images, as for `read_image`.
        listing: lists the records of the data set's parts.
        decode: turns a record's label into numbers.
        splits: which part is train, val and test.
    """

    labels: LabelMap
    channels: int
    listing: Listing
    decode: MaskDecoder = read_index_mask
    splits: SplitPlan = field(default_factory=SplitPlan)

    def records(self, split: Split) -> tuple[Record, ...]:
        """Return the records of a split, sorted by name.

        Raises:
            DataError: if files are missing, an image has no mask, or two have the same name.
        """
        return self.splits.records(split, self.listing)

    def read(self, record: Record) -> Sample:
        """Decode a pair; the mask holds train ids.

        Raises:
            DataError: if a file cannot be read, the sizes differ, or the mask has a value without a meaning.
        """
        image = self.read_image(record)
        if record.mask is None:
            return Sample(record.name, image, None)
        mask = to_train_ids(self.decode(record), self.labels, str(record.mask))
        _check_sizes(record, (image.shape[0], image.shape[1]), (mask.shape[0], mask.shape[1]))
        return Sample(record.name, image, mask)

    def read_image(self, record: Record) -> Array:
        """Decode the image of a record, (H, W, channels).

        Raises:
            DataError: if it cannot be read.
        """
        return read_image(record.image, self.channels)

    def inspect(self, record: Record) -> Inspection:
        """Look at a pair without decoding its image.

        Raises:
            DataError: as `read` does, but for damage inside the image's pixels.
        """
        size = image_size(record.image)
        if record.mask is None:
            return Inspection(size, {})
        mask = self.decode(record)
        _check_sizes(record, size, (mask.shape[0], mask.shape[1]))
        values = count_values(mask)
        check_values(values, self.labels, str(record.mask))
        return Inspection(size, values)


class PairReader(FileReader):
    """Reads images and masks of plain numbers in two folders, paired by their relative paths."""

    listing: FolderListing

    @property
    def root(self) -> Path:
        """The data set's folder."""
        return self.listing.root

    @property
    def images(self) -> str:
        """The images' folder or glob, with {split} in it."""
        return self.listing.images

    @property
    def masks(self) -> str:
        """The masks' folder or glob, with {split} in it."""
        return self.listing.masks


def pair_reader(labels: LabelMap, channels: int, listing: FolderListing, splits: SplitPlan) -> FileReader:
    """Return the reader of masks of plain numbers in folders: a `PairReader` where their paths alone pair the files.

    Args:
        labels: what the numbers mean.
        channels: of the images.
        listing: of the folders.
        splits: which part is train, val and test.
    """
    by_path = NAME not in listing.images + listing.masks and splits == SplitPlan(seed=splits.seed, group=splits.group)
    kind = PairReader if by_path else FileReader
    return kind(labels, channels, listing, splits=splits)


def root_folder(root: str) -> Path:
    """Return a data set's folder.

    Args:
        root: the option; empty if it is not set.

    Raises:
        DataError: if it is not set or no folder.
    """
    if not root:
        raise DataError("root is not set", expected="the data set's folder", remedy="set root")
    folder = Path(root)
    if not folder.is_dir():
        raise DataError(
            f"root {root} {'is no folder' if folder.exists() else 'does not exist'}",
            expected="the data set's folder",
            remedy="check root",
        )
    return folder


def _check_sizes(record: Record, image: tuple[int, int], mask: tuple[int, int]) -> None:
    if image == mask:
        return
    turned = image == mask[::-1] and _has_orientation(record.image)
    raise DataError(
        f"mask {record.mask} is {mask[0]}x{mask[1]} and its image {record.image} is {image[0]}x{image[1]}",
        expected="the same height and width",
        remedy=(
            "the image is turned by its EXIF orientation and the mask is not: turn the mask"
            if turned
            else "make the mask anew, or resize it with nearest neighbours"
        ),
    )


def _has_orientation(path: Path) -> bool:
    with Image.open(path) as picture:
        return (picture.height, picture.width) != image_size(path)
