"""Summaries of files, without pixels, collected in one pass and shared by all checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from xseg.labels.label_map import LabelMap
from xseg.types import RGB, Split

StrayKind: TypeAlias = Literal["hidden", "broken_link", "no_image", "same_name", "letter_case"]


@dataclass(frozen=True, slots=True)
class FileSummary:
    """Summary of a stored file.

    Args:
        path: path of the file.
        length: size in bytes.
        digest: digest of the content; equal for equal files.
        fault: reason why the file cannot be decoded; empty if it can.
        format: actual format by Pillow's name ("PNG", "JPEG"); empty if unknown to Pillow.
        mode: Pillow's pixel mode ("L", "RGB", "I;16"); empty if unknown to Pillow.
        lossy: whether the compression changes pixels.
        frames: number of pages or frames.
        stored: stored height and width, before any orientation is applied.
        orientation: EXIF orientation, 1 to 8.
    """

    path: Path
    length: int
    digest: bytes
    fault: str = ""
    format: str = ""
    mode: str = ""
    lossy: bool = False
    frames: int = 1
    stored: tuple[int, int] = (0, 0)
    orientation: int = 1


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """Summary of an image's pixels, of which only the size may be known.

    Args:
        size: height and width after EXIF orientation.
        kind: "uint8", "uint16" or "float32"; empty if only the size is known.
        low: smallest value.
        high: largest value.
        finite: whether all values are finite.
        digest: digest of the pixels.
        thumbnail: 32 x 32 bytes of grey with mean 128 and standard deviation 40; empty for an image without contrast.
    """

    size: tuple[int, int]
    kind: str = ""
    low: float = 0.0
    high: float = 0.0
    finite: bool = True
    digest: bytes = b""
    thumbnail: bytes = b""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A mask value that belongs to no class, with its number of pixels and first position."""

    value: int
    pixels: int
    row: int
    column: int


@dataclass(frozen=True, slots=True)
class MaskSummary:
    """Summary of a mask's pixels.

    Args:
        size: height and width.
        kind: type of the numbers, "uint8" or "uint16".
        values: number of pixels per known value.
        unknown: unknown values, the most frequent first, at most 16.
        unknown_values: number of different unknown values.
        unknown_pixels: number of pixels with unknown values.
        between: share, 0 to 1, of borders between two numbers at which a pixel lies strictly between both, as after
            interpolation.
        shape: complexity of the mask: compressed size of every other row in bytes.
        colors: number of pixels per colour, the most frequent first, at most 64; empty for a mask of class numbers.
        more_colors: number of further colours.
        equal_channels: whether all colour channels are equal, as for class numbers stored as grey RGB.
        transparency: whether the file has an alpha channel.
        palette: palette colour of each number in the mask, for a palette image.
        digest: digest of the numbers.
    """

    size: tuple[int, int]
    kind: str
    values: dict[int, int]
    unknown: tuple[Unknown, ...] = ()
    unknown_values: int = 0
    unknown_pixels: int = 0
    between: float = 0.0
    shape: int = 0
    colors: dict[RGB, int] = field(default_factory=dict)
    more_colors: int = 0
    equal_channels: bool = False
    transparency: bool = False
    palette: dict[int, RGB] = field(default_factory=dict)
    digest: bytes = b""

    @property
    def numbers(self) -> set[int]:
        """Numbers in the mask: known ones and the listed unknown ones."""
        return {*self.values, *(unknown.value for unknown in self.unknown)}


@dataclass(frozen=True, slots=True)
class PairSummary:
    """Summary of an image and its mask.

    Args:
        name: name of the record.
        image_file: file of the image; None if there is none.
        image: pixels of the image; None if they cannot be decoded.
        mask_file: file of the mask; None if there is none.
        mask: pixels of the mask; None if they cannot be decoded.
        fault: reason why the reader refuses the pair, if files and masks are not examined separately.
        unlabelled: whether the layout allows this image to have no mask.
        unpaired: whether the image lacks its mask, or the mask its image.
        similar: for an image without a mask, the file with the name most similar to the expected mask, if any.
    """

    name: str
    image_file: FileSummary | None = None
    image: ImageSummary | None = None
    mask_file: FileSummary | None = None
    mask: MaskSummary | None = None
    fault: str = ""
    unlabelled: bool = False
    unpaired: bool = False
    similar: Path | None = None

    @property
    def image_path(self) -> str:
        """Path of the image, or the record's name if there is none."""
        return self.name if self.image_file is None else str(self.image_file.path)

    @property
    def mask_path(self) -> str:
        """Path of the mask, or the record's name if there is none."""
        return self.name if self.mask_file is None else str(self.mask_file.path)

    def files(self) -> tuple[FileSummary, ...]:
        """Return the existing files of the image and the mask."""
        return tuple(file for file in (self.image_file, self.mask_file) if file is not None)

    @property
    def same_file(self) -> bool:
        """Whether the mask file has the same content as the image file."""
        image, mask = self.image_file, self.mask_file
        return image is not None and mask is not None and image.length > 0 and image.digest == mask.digest


@dataclass(frozen=True, slots=True)
class Stray:
    """A file that the reader ignores, or that hides another file."""

    kind: StrayKind
    path: Path
    detail: str = ""


@dataclass(frozen=True)
class SplitSummary:
    """Images and masks of a split by name, stray files, the fault if it cannot be listed, and whether it exists."""

    pairs: tuple[PairSummary, ...] = ()
    strays: tuple[Stray, ...] = ()
    fault: str = ""
    exists: bool = True

    def images(self) -> Iterator[tuple[PairSummary, ImageSummary]]:
        """Yield the pairs with a decoded image, with its summary."""
        return ((pair, pair.image) for pair in self.pairs if pair.image is not None)

    def masks(self) -> Iterator[tuple[PairSummary, MaskSummary]]:
        """Yield the pairs with a decoded mask, with its summary."""
        return ((pair, pair.mask) for pair in self.pairs if pair.mask is not None)

    def files(self) -> Iterator[FileSummary]:
        """Yield the files of images and masks."""
        return (file for pair in self.pairs for file in pair.files())

    def values(self) -> Counter[int]:
        """Return the number of pixels per known value over all masks."""
        total: Counter[int] = Counter()
        for _, mask in self.masks():
            total.update(mask.values)
        return total


@dataclass(frozen=True)
class DataSummary:
    """Summary of a data set for the checks.

    Args:
        labels: classes of the data set.
        channels: number of image channels from the reader.
        crop: height and width of a training crop in pixels.
        splits: summaries of the splits by name.
        numeric_masks: whether mask files hold one class number per pixel, so that the files can be checked directly.
        raw: whether mask numbers are the label map's raw ids instead of train ids.
    """

    labels: LabelMap
    channels: int
    crop: tuple[int, int]
    splits: dict[Split, SplitSummary]
    numeric_masks: bool = True
    raw: bool = True

    def class_pixels(self, split: Split) -> list[int]:
        """Return the number of labelled pixels of each class in a split; all 0 for a missing split."""
        return pixels_by_class(self.splits.get(split, SplitSummary()).values(), self.train_ids(), self.labels)

    def train_ids(self) -> dict[int, int]:
        """Return the train id of each possible number in the masks."""
        if self.raw:
            return self.labels.train_ids()
        return {index: index for index in (*range(len(self.labels)), self.labels.ignore_index)}


def pixels_by_class(values: Mapping[int, int], train_ids: Mapping[int, int], labels: LabelMap) -> list[int]:
    """Return the number of labelled pixels of each class, from the number per mask value."""
    pixels = [0] * len(labels)
    for value, count in values.items():
        if train_ids[value] != labels.ignore_index:
            pixels[train_ids[value]] += count
    return pixels
