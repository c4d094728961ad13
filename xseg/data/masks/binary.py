"""Black-and-white masks: one file for two classes, or one file per class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xseg.data.masks.numbers import empty_label, mask_of, open_mask, smallest_type
from xseg.data.sample import Array, Record
from xseg.errors import DataError
from xseg.images.reading import decoding, is_array_file, opened, orientation_of, read_array, read_image
from xseg.images.tiff import oriented
from xseg.labels.label_map import LabelMap
from xseg.types import PathArgument


@dataclass(frozen=True)
class BinaryMasks:
    """Reads masks of two classes in black and white: 0 and 1, or 0 and 255 (65535 in 16 bits).

    Args:
        labels: classes of black and white.
        tolerance: largest distance of a value from black and white, 0 to 127.
    """

    labels: LabelMap
    tolerance: int = 0

    def __call__(self, record: Record) -> Array:
        """Return the raw ids of a record's mask, (H, W) uint8 or uint16."""
        return self.numbers(read_binary(mask_of(record), self.tolerance))

    def numbers(self, white: Array) -> Array:
        """Return the raw ids for a mask (H, W) of zeros and ones."""
        return np.array(self.labels.raw_ids, smallest_type(self.labels.raw_ids))[white]


@dataclass(frozen=True)
class BandMasks:
    """Reads labels of overlapping classes, from one file with a band per class, or from one file per class.

    A pixel of a band or file is 0 or black without the class, 1 or white with it, or the ignore index. In the file of a
    class, white is the class even if the ignore index is 255.

    Args:
        labels: classes of the data set.
        tolerance: largest distance of a value from black and white, 0 to 127.
    """

    labels: LabelMap
    tolerance: int = 0

    def __call__(self, record: Record) -> Array:
        """Return a record's label, (H, W, classes) uint8 of 0, 1 and the ignore index."""
        if not record.parts:
            name = str(mask_of(record))
            return self._bands(read_image(name, len(self.labels), name=f"mask {name}"), name)
        parts = {path: self._bands(array, str(path), white=True) for path, array in _class_files(record).items()}
        absent = np.zeros_like(parts[mask_of(record)])
        return np.stack([absent if path is None else parts[path] for path in record.parts], axis=-1)

    def _bands(self, array: Array, name: str, *, white: bool = False) -> Array:
        """Return zeros, ones and the ignore index; `white` is a class in any case."""
        if array.dtype.kind == "f":
            raise DataError(f"mask {name} has {array.dtype} values", expected="integers")
        ignore = self.labels.ignore_index
        ignored = (array == ignore) & (not white or ignore != np.iinfo(array.dtype).max)
        bands = black_or_white(np.where(ignored, 0, array), self.tolerance, name)
        bands[ignored] = ignore
        return bands


@dataclass(frozen=True)
class ClassFileMasks:
    """Reads labels with one black-and-white file per class; where classes overlap, the later one wins.

    Args:
        labels: classes of the data set.
        background: class of the pixels that no file covers; they are ignored if no class has this name.
        tolerance: largest distance of a value from black and white, 0 to 127.
    """

    labels: LabelMap
    background: str = ""
    tolerance: int = 0

    def __call__(self, record: Record) -> Array:
        """Return the raw ids of a record's classes, (H, W) uint8 or uint16."""
        parts = _class_files(record)
        if not parts:
            raise DataError(f"{record.image} has no class file", expected="one file per class in the image")
        numbers = empty_label(self.labels, self.background, parts[mask_of(record)].shape)
        for raw_id, path in zip(self.labels.raw_ids, record.parts, strict=True):
            if path is not None:
                numbers[black_or_white(parts[path], self.tolerance, str(path)) > 0] = raw_id
        return numbers


def _class_files(record: Record) -> dict[Path, Array]:
    """Return the grey values in the files of a record's classes, which must have the same size."""
    found = {path: _grey(path, str(path)) for path in record.parts if path is not None}
    for path, array in found.items():
        _require_size(f"mask {path}", array, record, found[mask_of(record)], "the same size for every class")
    return found


def _require_size(what: str, array: Array, record: Record, label: Array, expected: str) -> None:
    if array.shape[:2] != label.shape[:2]:
        sizes = f"{array.shape[0]}x{array.shape[1]} and {record.mask} {label.shape[0]}x{label.shape[1]}"
        raise DataError(f"{what} is {sizes}", expected=expected)


def read_binary(source: PathArgument | bytes, tolerance: int = 0, *, name: str = "") -> Array:
    """Read a mask of 0 and 1, or of black and white, as 0 and 1, (H, W) uint8.

    Args:
        source: path or content of a file.
        tolerance: largest distance of a value from black and white, 0 to 127.
        name: name of the mask in error messages; the path if empty.

    Raises:
        DataError: if the file cannot be read or has other values, with their count and first position.
    """
    name = name or str(source)
    return black_or_white(_grey(source, name), tolerance, name)


def black_or_white(array: Array, tolerance: int, name: str) -> Array:
    """Return a mask of 0 and 1, or of black and white, as 0 and 1 uint8; see `read_binary`.

    Raises:
        DataError: if it has other values.
    """
    white = np.iinfo(array.dtype).max
    if int(array.max()) <= 1:
        return array.astype(np.uint8)
    bright = array >= white - tolerance
    strange = ~bright & (array > tolerance)
    if strange.any():
        row, column = (int(place[0]) for place in np.nonzero(strange)[:2])
        far = int(np.minimum(array[strange], white - array[strange]).max())
        value, count = int(array[strange][0]), f"{int(strange.sum())} of {array.size} pixels"
        got = f"mask {name} has value {value} at row {row}, column {column}; {count} are neither black nor white"
        remedy = f"set layout.labels.tolerance to {far} if the file is lossy" if far <= 127 else "check encoding"
        raise DataError(got, expected=f"0 and 1, or 0 and {white}", remedy=remedy)
    return bright.astype(np.uint8)


def without_invalid(numbers: Array, record: Record, ignore_index: int) -> Array:
    """Return the numbers of a label (H, W, ...) with `ignore_index` where the record's valid region is 0.

    Raises:
        DataError: if the file of the region cannot be read or has another size.
    """
    if record.valid is None:
        return numbers
    valid = _grey(record.valid, str(record.valid))
    _require_size(f"valid region {record.valid}", valid, record, numbers, "the same height and width")
    kept = numbers.astype(np.result_type(numbers, smallest_type((ignore_index,))))
    kept[valid == 0] = ignore_index
    return kept


def _grey(source: PathArgument | bytes, name: str) -> Array:
    """Read a mask with one channel or equal channels as (H, W) uint8 or uint16."""
    with decoding(name), opened(source) as file:
        if is_array_file(file):
            array = read_array(file)
            array = array.astype(np.uint8) if array.dtype == bool else array
        else:
            with open_mask(file, name) as picture:
                # black and white are the colours of a palette, not its indices
                shown = picture.convert("RGB") if picture.mode in ("P", "PA") else picture
                array = np.asarray(shown.convert("L") if shown.mode in ("1", "LA") else shown)
                array = oriented(array, orientation_of(picture))
        if array.ndim == 3 and (array[..., :3] == array[..., :1]).all():
            array = array[..., 0]
        if array.ndim != 2 or array.size == 0:
            raise DataError(f"mask {name} is a colour image", expected="black and white", remedy="check encoding")
        if array.dtype.kind not in "iu" or int(array.min()) < 0 or int(array.max()) > 65_535:
            raise DataError(f"mask {name} has {array.dtype} values", expected="0 and 1, or 0 and 255")
        return array if array.dtype == np.uint8 else array.astype(np.uint16)
