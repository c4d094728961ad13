"""What one pass through the files collects: small values without pixels, which all checks share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from xseg.labels.label_map import LabelMap
from xseg.types import RGB, Split

StrayKind: TypeAlias = Literal["hidden", "broken_link", "no_image", "same_name", "letter_case"]


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file as it is stored.

    Args:
        path: the file.
        length: its size in bytes.
        digest: of its content; two files with the same digest are the same.
        fault: why it cannot be decoded; empty if it can.
        format: Pillow's name of what it really is ("PNG", "JPEG"); empty if Pillow does not know.
        mode: Pillow's name of its pixels ("L", "RGB", "I;16"); empty if Pillow does not know.
        lossy: whether its compression changes pixels.
        frames: number of pages or frames.
        stored: height and width as stored, before any orientation is applied.
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
class ImageFacts:
    """The pixels of an image.

    Args:
        size: height and width as a person sees it.
        kind: "uint8", "uint16" or "float32".
        low: smallest value.
        high: largest value.
        finite: whether no value is infinite or not a number.
        digest: of the pixels.
        thumbnail: 32 x 32 bytes of grey with mean 128 and standard deviation 40; empty for an image without contrast.
    """

    size: tuple[int, int]
    kind: str
    low: float
    high: float
    finite: bool
    digest: bytes
    thumbnail: bytes

    @classmethod
    def of_size(cls, size: tuple[int, int]) -> ImageFacts:
        """Return the facts of an image of which no more than the size is known."""
        return cls(size, kind="", low=0.0, high=0.0, finite=True, digest=b"", thumbnail=b"")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A mask value without a meaning: how many pixels have it, and where the first is."""

    value: int
    pixels: int
    row: int
    column: int


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """The pixels of a mask.

    Args:
        size: height and width.
        kind: the numbers' type, "uint8" or "uint16".
        values: pixels per number of the file that has a meaning.
        unknown: the numbers without a meaning, the most frequent first, at most 16.
        unknown_values: number of different numbers without a meaning.
        unknown_pixels: number of their pixels.
        between: share, 0 to 1, of the borders between two numbers at which a pixel lies strictly between both, as
            interpolation makes it.
        shape: how much shape the mask has: the bytes that its numbers, of every other row, compress to.
        colors: pixels per colour, the most frequent first, at most 64; empty for a mask of numbers.
        more_colors: number of further colours.
        equal_channels: whether all channels of colour are equal: numbers stored as grey RGB.
        transparency: whether the file has an alpha channel.
        palette: the colour of each number that occurs, for a palette image.
        digest: of the numbers.
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
        """The numbers that the mask holds, with a meaning or without (of these, those that are listed)."""
        return {*self.values, *(unknown.value for unknown in self.unknown)}


@dataclass(frozen=True, slots=True)
class PairFacts:
    """An image and its mask.

    Args:
        name: the record's.
        image_file: the image's file; None if there is none.
        image: its pixels; None if they cannot be decoded.
        mask_file: the mask's file; None if there is none.
        mask: its pixels; None if they cannot be decoded.
        fault: why the reader refuses the pair, where files and masks are not looked at one by one.
        unlabelled: whether the layout lets this image be without a mask.
        unpaired: whether the image lacks its mask, or the mask its image.
        similar: for an image without a mask, the file whose name is most like that of its mask, if any.
    """

    name: str
    image_file: FileFacts | None = None
    image: ImageFacts | None = None
    mask_file: FileFacts | None = None
    mask: MaskFacts | None = None
    fault: str = ""
    unlabelled: bool = False
    unpaired: bool = False
    similar: Path | None = None

    @property
    def same_file(self) -> bool:
        """Whether the mask's file has the content of the image's."""
        image, mask = self.image_file, self.mask_file
        return image is not None and mask is not None and image.length > 0 and image.digest == mask.digest


@dataclass(frozen=True, slots=True)
class Stray:
    """A file that the reader passes over, or that hides another."""

    kind: StrayKind
    path: Path
    detail: str = ""


@dataclass(frozen=True)
class SplitFacts:
    """What a split holds.

    Args:
        pairs: its images and masks, by name.
        strays: files that are no part of it.
        fault: why it cannot be listed; empty if it can.
        exists: whether there is anything of this split.
    """

    pairs: tuple[PairFacts, ...] = ()
    strays: tuple[Stray, ...] = ()
    fault: str = ""
    exists: bool = True

    def images(self) -> Iterator[tuple[PairFacts, ImageFacts]]:
        """Yield the pairs whose image was decoded, with its pixels' facts."""
        return ((pair, pair.image) for pair in self.pairs if pair.image is not None)

    def masks(self) -> Iterator[tuple[PairFacts, MaskFacts]]:
        """Yield the pairs whose mask was decoded, with its pixels' facts."""
        return ((pair, pair.mask) for pair in self.pairs if pair.mask is not None)

    def files(self) -> Iterator[FileFacts]:
        """Yield the files of images and masks."""
        for pair in self.pairs:
            yield from (file for file in (pair.image_file, pair.mask_file) if file is not None)

    def values(self) -> Counter[int]:
        """Return the pixels per number of all masks, of the numbers that have a meaning."""
        total: Counter[int] = Counter()
        for _, mask in self.masks():
            total.update(mask.values)
        return total


@dataclass(frozen=True)
class Facts:
    """What a data set holds, as far as the checks need it.

    Args:
        labels: the classes.
        channels: of the images that the reader returns.
        crop: height and width in pixels of a training crop.
        splits: by name.
        plain: whether a mask's file holds one number per pixel, so that the file itself can be judged.
        raw: whether the masks' numbers are the label map's raw ids; otherwise they are train ids.
    """

    labels: LabelMap
    channels: int
    crop: tuple[int, int]
    splits: dict[Split, SplitFacts]
    plain: bool = True
    raw: bool = True

    def class_pixels(self, split: Split) -> list[int]:
        """Return the labelled pixels of each class in a split; all 0 for a split that does not exist."""
        pixels = [0] * len(self.labels)
        train_ids = self.train_ids()
        for value, count in self.splits[split].values().items() if split in self.splits else ():
            if train_ids[value] != self.labels.ignore_index:
                pixels[train_ids[value]] += count
        return pixels

    def train_ids(self) -> dict[int, int]:
        """Return the train id of each number that the facts' masks may hold."""
        if self.raw:
            return self.labels.train_ids()
        own = {index: index for index in range(len(self.labels))}
        return {**own, self.labels.ignore_index: self.labels.ignore_index}
