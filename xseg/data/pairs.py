"""Readers for images and masks in files, with any listing and mask encoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, TypeVar

from PIL import Image

from xseg.data.masks.binary import without_invalid
from xseg.data.masks.numbers import check_values, count_values, read_index_mask, to_train_ids
from xseg.data.options import DataOptions
from xseg.data.patterns import FolderListing
from xseg.data.sample import Array, Inspection, Record, Sample
from xseg.data.splits import OWN_NAMES, Listing, SplitPlan
from xseg.errors import DataError, unknown_name
from xseg.images.reading import image_size, read_image
from xseg.labels.label_map import LabelMap
from xseg.types import PathArgument, Split

Variant = TypeVar("Variant")
MaskDecoder: TypeAlias = Callable[[Record], Array]
"""Function from a record to the numbers of its label, (H, W) uint8 or uint16, before conversion to train ids.

It raises a DataError if a file cannot be read, sizes differ, or a colour, segment or name belongs to no class."""


@dataclass(frozen=True)
class FileReader:
    """Reads images and labels from files.

    Args:
        labels: label map for the numbers from `decode`.
        channels: number of image channels, as for `read_image`.
        listing: listing of the records of each split.
        decode: function that returns the numbers of a record's label.
        splits: train, val and test splits.
        valid: function that adds the valid regions to records of a split; None for those of the listing, if any.
        bands: bands of the images to read, counted from 1; empty for all, converted to `channels`.
        content: function that returns the content or the path of a record's image; None for `record.image`.
    """

    labels: LabelMap
    channels: int
    listing: Listing
    decode: MaskDecoder = read_index_mask
    splits: SplitPlan = field(default_factory=SplitPlan)
    valid: Callable[[Sequence[Record], str], tuple[Record, ...]] | None = None
    bands: tuple[int, ...] = ()
    content: Callable[[Record], PathArgument | bytes] | None = None

    def records(self, split: Split) -> tuple[Record, ...]:
        """Return the records of a split, sorted by name."""
        return self.planned(split, self.listing)

    def planned(self, split: Split, listing: Listing) -> tuple[Record, ...]:
        """Return the records of a split of another listing, with their valid regions."""
        valid = self.valid
        return self.splits.records(split, listing if valid is None else lambda name: valid(listing(name), name))

    def read(self, record: Record) -> Sample:
        """Decode a pair; the mask holds train ids."""
        image = self.read_image(record)
        if record.mask is None:
            return Sample(record.name, image, None)
        mask = to_train_ids(self.numbers(record), self.labels, str(record.mask))
        _check_sizes(record, image.shape[:2], mask.shape[:2])
        return Sample(record.name, image, mask)

    def read_image(self, record: Record) -> Array:
        """Decode the image of a record, (H, W, channels).

        Raises:
            DataError: if it cannot be read.
        """
        source = record.image if self.content is None else self.content(record)
        return read_image(source, self.bands or self.channels, name=str(record.image))

    def numbers(self, record: Record) -> Array:
        """Decode the label of a record to numbers, with the ignore index outside its valid region.

        Raises:
            DataError: if a file cannot be read.
        """
        return without_invalid(self.decode(record), record, self.labels.ignore_index)

    def inspect(self, record: Record) -> Inspection:
        """Inspect a pair without decoding its image."""
        source = record.image if self.content is None else self.content(record)
        size = image_size(source, name=str(record.image))
        if record.mask is None:
            return Inspection(size, {})
        mask = self.numbers(record)
        _check_sizes(record, size, mask.shape[:2])
        values = count_values(mask)
        check_values(values, self.labels, str(record.mask))
        return Inspection(size, values)


def folder_reader(
    options: DataOptions,
    labels: LabelMap,
    images: str,
    masks: str,
    *,
    names: tuple[str, str, str] = OWN_NAMES,
    optional: tuple[str, ...] = (),
) -> FileReader:
    """Return the reader for masks of class numbers in folders or globs below root; see `FolderListing`.

    Args:
        options: data options with root, channels and splits.
        labels: label map of the numbers.
        images: folder or glob of the images.
        masks: folder or glob of the masks.
        names: names of train, val and test in the data set.
        optional: splits whose images need no mask.
    """
    listing = FolderListing(root_folder(options.root), images, masks, optional=optional)
    return FileReader(labels, options.channel_count, listing, splits=SplitPlan.of(options.layout.splits, names))


def variant_of(options: DataOptions, variants: Mapping[str, Variant]) -> Variant:
    """Return the variant in the options, or else the first one.

    Raises:
        ConfigError: if the variant is unknown.
    """
    name = options.layout.variant or next(iter(variants))
    if name not in variants:
        raise unknown_name(f"reader {options.reader!r}: layout.variant", name, variants)
    return variants[name]


def root_folder(root: str) -> Path:
    """Return the folder of a data set.

    Args:
        root: value of the option; empty if not set.

    Raises:
        DataError: if it is not set or not a folder.
    """
    if not root:
        raise DataError("root is not set", expected="the folder of the data set", remedy="set root")
    folder = Path(root)
    if not folder.is_dir():
        got = f"root {root} {'is not a folder' if folder.exists() else 'does not exist'}"
        raise DataError(got, expected="the folder of the data set", remedy="check root")
    return folder


def _check_sizes(record: Record, image: tuple[int, int], mask: tuple[int, int]) -> None:
    if image == mask:
        return
    remedy = "make the mask again, or resize it with nearest neighbour"
    if image == mask[::-1] and record.image.is_file():
        with Image.open(record.image) as picture:
            if (picture.height, picture.width) != image_size(record.image):
                remedy = "EXIF rotates the image but not the mask: rotate the mask"
    got = f"mask {record.mask} is {mask[0]}x{mask[1]} and its image {record.image} is {image[0]}x{image[1]}"
    raise DataError(got, expected="the same height and width", remedy=remedy)
