"""Read masks as numbers, and convert the numbers to train ids."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from xseg.data.sample import Array, Record
from xseg.errors import DataError
from xseg.images.png import require_possible_size
from xseg.images.reading import decoding, is_array_file, opened, orientation_of, read_array
from xseg.images.tiff import is_tiff, oriented, read_tiff
from xseg.labels.label_map import LabelMap
from xseg.types import PathArgument

_VALUES = 65_536
# Pillow stretches grey values of few bits to 0..255, which would change class 1 to 17 or 85.
_STRETCH = {"L;2": 85, "L;4": 17}
_PAGED = ("GIF", "TIFF")  # in other formats, counting the frames would decode them


def read_mask(source: PathArgument | bytes, *, name: str = "") -> Array:
    """Read the numbers in a mask; a palette image gives its indices, not its colours.

    Args:
        source: path or content of a file: a grey, black-and-white or palette image of 1 to 16 bits with one page (PNG,
            GIF, TIFF, ...), or a .npy array (H, W) of integers. Its EXIF orientation, if any, is applied.
        name: name of the mask in error messages; the path if empty.

    Returns:
        Stored numbers, (H, W) uint8 or uint16.

    Raises:
        DataError: if the file is missing, empty, truncated, not an image, a colour image, or has several pages.
    """
    name = name or str(source)
    with decoding(name), opened(source) as file:
        if is_array_file(file):
            return as_numbers(read_array(file), name)
        try:
            picture = open_mask(file, name)
        except UnidentifiedImageError:
            return as_numbers(_read_unidentified(file, name), name)
        with picture:
            require_possible_size(file, f"mask {name}")
            if picture.mode not in ("1", "L", "P", "I") and not picture.mode.startswith("I;16"):
                got = f"mask {name} is a colour image ({picture.mode})"
                remedy = "set layout.labels.encoding to color, or convert its colours to class numbers"
                raise DataError(got, expected="one number per pixel, in a grey or palette image", remedy=remedy)
            stretch = max((_STRETCH.get(_raw_mode(tile[3]), 1) for tile in getattr(picture, "tile", ())), default=1)
            numbers = as_numbers(np.asarray(picture), name)
            return oriented(numbers // stretch if stretch > 1 else numbers, orientation_of(picture))


def read_index_mask(record: Record) -> Array:
    """Return the numbers in the mask file of a record, (H, W) uint8 or uint16.

    Raises:
        DataError: if the file cannot be read, or the record has no mask.
    """
    return read_mask(mask_of(record))


def mask_of(record: Record) -> Path:
    """Return the mask file of a record.

    Raises:
        DataError: if it has none.
    """
    if record.mask is None:
        raise DataError(f"{record.image} has no mask", expected="a labelled image")
    return record.mask


def open_mask(file: BinaryIO, name: str) -> Image.Image:
    """Open a mask file without decoding its pixels.

    Raises:
        UnidentifiedImageError: if Pillow does not recognise it.
        DataError: if it has several pages.
    """
    picture = Image.open(file)
    pages = int(getattr(picture, "n_frames", 1)) if picture.format in _PAGED else 1
    if pages > 1:
        picture.close()
        raise DataError(f"mask {name} holds {pages} pages", expected="one", remedy="keep the page with the labels")
    return picture


def _read_unidentified(file: BinaryIO, name: str) -> Array:
    """Read a mask from a TIFF that Pillow does not recognise; any other file is not a mask."""
    file.seek(0)
    if not is_tiff(file):
        reason = "not an image" if file.read(1) else "empty"
        raise DataError(f"mask {name} is {reason}", expected="a PNG")
    return read_tiff(file, f"mask {name}")


def count_values(mask: Array) -> dict[int, int]:
    """Return the number of pixels of each value in a mask (H, W), sorted by value.

    For overlapping classes, (H, W, classes), these are the pixels of each class, and those of ignored values.
    """
    if mask.ndim == 3:
        present = {index: int(count) for index, count in enumerate(class_pixels(mask, mask.shape[2])) if count}
        return {**present, **count_values(mask[mask > 1])}
    counts = np.bincount(mask.ravel())
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}


def class_pixels(mask: Array, classes: int) -> NDArray[np.int64]:
    """Return the number of pixels of each class in a mask of train ids, (classes,)."""
    if mask.ndim == 3:
        return np.asarray((mask == 1).sum(axis=(0, 1)), np.int64)
    return np.bincount(mask.ravel(), minlength=classes)[:classes].astype(np.int64)


def to_train_ids(mask: Array, labels: LabelMap, name: str) -> Array:
    """Convert the numbers in a mask to train ids.

    Args:
        mask: numbers from `read_mask`, (H, W) uint8 or uint16.
        labels: label map of the numbers.
        name: name of the mask in error messages.

    Returns:
        Train ids, (H, W) uint8, or uint16 if a train id or the ignore index needs it; for overlapping classes, the
        numbers themselves, (H, W, classes) uint8.

    Raises:
        DataError: if a number belongs to no class.
    """
    if labels.overlapping:
        unknown_values = set(np.unique(mask).tolist()) - {0, 1, labels.ignore_index}
        if unknown_values or mask.ndim != 3 or mask.shape[2] != len(labels):
            got = f"values {sorted(unknown_values)}" if unknown_values else f"shape {mask.shape}"
            expected = f"(height, width, {len(labels)}) of 0, 1 and {labels.ignore_index} (ignored)"
            raise DataError(f"mask {name} has {got}", expected=expected)
        return mask.astype(np.uint8)
    unknown, table = _tables(labels)
    if _look_up(mask, unknown).any():
        check_values(count_values(mask), labels, name)
    return _look_up(mask, table)


def check_values(values: dict[int, int], labels: LabelMap, name: str) -> None:
    """Check that every value of a mask belongs to a class or is ignored.

    Args:
        values: number of pixels per value, from `count_values`.
        labels: label map of the values.
        name: name of the mask in the error message.

    Raises:
        DataError: if a value is unknown, with its number of pixels and the known values.
    """
    known = labels.train_ids()
    unknown = [value for value in values if value not in known]
    if not unknown:
        return
    first = ", ".join(f"value {value} in {values[value]} pixels" for value in unknown[:3])
    more = f" and {len(unknown) - 3} more values" if len(unknown) > 3 else ""
    ignored = sorted({*labels.ignored_raw_ids, labels.ignore_index} - set(labels.raw_ids))
    got = f"mask {name} has {first}{more}"
    expected = f"{_ranges(sorted(labels.raw_ids))} or {_ranges(ignored)} (ignored)"
    raise DataError(got, expected=expected, remedy="add it to the label map, or to ignored_raw_ids")


def empty_label(labels: LabelMap, background: str, size: tuple[int, int]) -> Array:
    """Return a label (H, W) uint8 or uint16 filled with the background's raw id, or the ignore index without one."""
    raw_id = labels.raw_ids[labels.names.index(background)] if background in labels.names else labels.ignore_index
    return np.full(size, raw_id, smallest_type((*labels.raw_ids, labels.ignore_index)))


def smallest_type(numbers: Iterable[int]) -> type[np.uint8 | np.uint16]:
    """Return the smallest type for these numbers."""
    return np.uint8 if max(numbers) <= 255 else np.uint16


def raw_id_of(labels: LabelMap, name: str, path: Path) -> int:
    """Return the raw id of a class by its name.

    Raises:
        DataError: if no class has this name.
    """
    if name not in labels.names:
        known = ", ".join(labels.names[:8]) + (", ..." if len(labels) > 8 else "")
        raise DataError(f"{path} has the label {name!r}", expected=known, remedy="add the class")
    return labels.raw_ids[labels.names.index(name)]


@lru_cache(maxsize=8)
def _tables(labels: LabelMap) -> tuple[Array, Array]:
    """Return for every 16-bit number whether it is unknown, and its train id or `ignore_index`."""
    largest = max(len(labels) - 1, labels.ignore_index)
    unknown = np.ones(_VALUES, np.uint8)
    table = np.full(_VALUES, labels.ignore_index, np.uint8 if largest <= 255 else np.uint16)
    for raw, train_id in labels.train_ids().items():
        unknown[raw], table[raw] = 0, train_id
    return unknown, table


def _look_up(mask: Array, table: Array) -> Array:
    """Return table[mask], with OpenCV for 8-bit masks, which is ten times faster."""
    return cv2.LUT(mask, table[:256]) if mask.dtype == np.uint8 else np.ascontiguousarray(table[mask])


def _raw_mode(arguments: object) -> str:
    """Return the layout of the stored pixels from a Pillow tile's arguments: a string, or the first in a tuple."""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def as_numbers(array: Array, name: str, bands: int = 0) -> Array:
    """Return whole numbers (H, W), or (H, W, bands) if there are bands, as uint8 or uint16.

    Raises:
        DataError: if they are not integers, out of range, or of another shape.
    """
    if array.ndim != (3 if bands else 2) or array.size == 0 or (bands and array.shape[2] != bands):
        expected = f"(height, width, {bands}), one band per class" if bands else "(height, width)"
        raise DataError(f"mask {name} has shape {array.shape}", expected=expected)
    if array.dtype.kind not in "bui":
        raise DataError(f"mask {name} has {array.dtype} values", expected="integers")
    if array.dtype.kind == "b" or array.dtype == np.uint8:
        return array.astype(np.uint8)
    if array.min() < 0 or array.max() >= _VALUES:
        raise DataError(f"mask {name} has values from {array.min()} to {array.max()}", expected="0 to 65535")
    return array.astype(np.uint16)


def _ranges(values: list[int]) -> str:
    """Return sorted numbers as ranges: 0 to 10, 255."""
    if not values:
        return "none"
    breaks = [index for index, (a, b) in enumerate(pairwise(values), start=1) if b != a + 1]
    runs = [values[a:b] for a, b in pairwise([0, *breaks, len(values)])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
