"""Colour masks, with one colour per class."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import UnidentifiedImageError

from xseg.data.masks.numbers import mask_of, open_mask, smallest_type
from xseg.data.sample import Array, Record
from xseg.errors import ConfigError, DataError
from xseg.images.reading import decoding, opened, orientation_of
from xseg.images.tiff import oriented
from xseg.labels.label_map import LabelMap
from xseg.types import RGB, PathArgument

_ROWS = 1024  # rows of a mask that are converted at once, to limit memory
_MOST_COLORS = 256  # more colours indicate a photograph or a lossy file


@dataclass(frozen=True)
class ColorMasks:
    """Reads masks with one colour per class.

    Args:
        labels: classes with their colours.
        ignored: colours that become the ignore index.
        tolerance: largest deviation of each channel, 0 to 127.

    Raises:
        ConfigError: if two colours are equal, or too close for the tolerance.
    """

    labels: LabelMap
    ignored: tuple[RGB, ...] = ()
    tolerance: int = 0

    def __post_init__(self) -> None:
        names = [*self.labels.names, *["an ignored colour"] * len(self.ignored)]
        colors = np.array([*self.labels.colors, *self.ignored], np.int16)
        apart = np.abs(colors[:, None] - colors[None]).max(axis=2)
        apart[np.tril_indices(len(colors))] = 256
        nearest = int(apart.min())
        if nearest <= 2 * self.tolerance:
            one, other = np.unravel_index(int(apart.argmin()), apart.shape)
            got = f"{names[one]} {tuple(colors[one].tolist())} and {names[other]} {tuple(colors[other].tolist())}"
            lower = f"set tolerance to {(nearest - 1) // 2} or less"
            raise ConfigError(
                f"colours of {got} differ by {nearest}, with a tolerance of {self.tolerance}",
                expected="colours that differ by more than twice the tolerance",
                remedy=lower if nearest else "use a different colour for each class",
            )

    def __call__(self, record: Record) -> Array:
        """Return the raw ids of a record's mask, (H, W) uint8 or uint16."""
        path = mask_of(record)
        return self.numbers(read_colors(path), str(path))

    def numbers(self, colors: Array, name: str) -> Array:
        """Return the raw ids of colours.

        Args:
            colors: RGB colours, (H, W, 3) uint8.
            name: name of the mask in error messages.

        Raises:
            DataError: if a colour belongs to no class.
        """
        table, raw_ids = _color_table(self.labels, self.ignored)
        places = np.empty(colors.shape[:2], table.dtype)
        for row in range(0, len(colors), _ROWS):
            places[row : row + _ROWS] = table[_packed(colors[row : row + _ROWS])]
        strange = places == len(raw_ids)
        if strange.any():
            places[strange] = self._nearest(colors, strange, name)
        return raw_ids[places]

    def _nearest(self, colors: Array, strange: Array, name: str) -> Array:
        """Return the index of the only colour within the tolerance of each unknown pixel."""
        packed = _packed(colors)
        found, inverse, counts = np.unique(packed[strange], return_inverse=True, return_counts=True)
        known = np.array([*self.labels.colors, *self.ignored], np.int16)
        nearest = np.empty(len(found), np.int64)
        distance = np.empty(len(found), np.int16)
        for start in range(0, len(found), _ROWS):
            part = slice(start, start + _ROWS)
            far = np.abs(_unpacked(found[part])[:, None] - known[None]).max(axis=2)
            nearest[part], distance[part] = far.argmin(axis=1), far.min(axis=1)
        wrong = distance > self.tolerance
        if wrong.any():
            first = int(np.where(wrong, counts, 0).argmax())  # the most frequent unknown colour
            row, column = (int(place[0]) for place in np.nonzero(packed == found[first]))
            color, close = (tuple(values.tolist()) for values in (_unpacked(found)[first], known[nearest[first]]))
            closest = [*self.labels.names, *["ignored"] * len(self.ignored)][int(nearest[first])]
            others = f" and {int(wrong.sum()) - 1} more colours" if wrong.sum() > 1 else ""
            tolerance = int(distance[wrong].max())
            raise DataError(
                f"mask {name} has colour {color} in {int(counts[first])} pixels, first at row {row}, column {column}"
                f"{others} ({int(counts[wrong].sum())} of {packed.size} pixels)",
                expected=f"class colours, of which {closest} {close} is the nearest",
                remedy=f"add the colour, or set layout.labels.tolerance to {tolerance} if the file is lossy",
            )
        return nearest[inverse]


def read_colors(source: PathArgument | bytes, *, name: str = "") -> Array:
    """Read the colours of a mask, (H, W, 3) uint8 RGB; for a palette image, the colours of the palette.

    Args:
        source: path or content of a file.
        name: name of the mask in error messages; the path if empty.

    Raises:
        DataError: if the file is missing, empty, truncated, not an image, or has several pages.
    """
    name = name or str(source)
    with decoding(name), opened(source) as file:
        try:
            picture = open_mask(file, name)
        except UnidentifiedImageError as error:
            raise DataError(f"mask {name} is not an image", expected="a colour image such as a PNG") from error
        with picture:
            if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
                got = f"mask {name} has numbers instead of colours ({picture.mode})"
                raise DataError(got, expected="8-bit colours")
            orientation = orientation_of(picture)
            return oriented(np.asarray(picture.convert("RGB")), orientation)


def discover_colors(paths: Iterable[Path], threads: int) -> tuple[RGB, ...]:
    """Return the colours of masks, sorted by red, green and blue.

    Raises:
        DataError: if a file cannot be read, or there are too many colours for classes.
    """
    with ThreadPoolExecutor(threads) as pool:
        found: set[int] = set()
        for path, colors in pool.map(lambda path: (path, np.unique(_packed(read_colors(path)))), paths):
            found.update(colors.tolist())
            if len(found) > _MOST_COLORS:
                got = f"the masks up to {path} have more than {_MOST_COLORS} colours"
                remedy = "set layout.labels.colors and, for lossy files, layout.labels.tolerance"
                raise DataError(got, expected="one colour per class", remedy=remedy)
    return tuple(sorted((value & 255, value >> 8 & 255, value >> 16) for value in found))


@lru_cache(maxsize=2)
def _color_table(labels: LabelMap, ignored: tuple[RGB, ...]) -> tuple[Array, Array]:
    """Return the list index of each of 2**24 colours (the length of the list for others), and the raw ids by index."""
    raw_ids = [*labels.raw_ids, *[labels.ignore_index] * len(ignored)]
    table = np.full(2**24, len(raw_ids), smallest_type((len(raw_ids),)))
    table[_packed(np.array([*labels.colors, *ignored], np.uint8))] = np.arange(len(raw_ids))
    return table, np.array(raw_ids, smallest_type(raw_ids))


def _packed(colors: Array) -> Array:
    """Return colours (..., 3) uint8 as numbers (...) uint32: red + 256 green + 65536 blue."""
    with_alpha = cv2.cvtColor(np.ascontiguousarray(colors).reshape(1, -1, 3), cv2.COLOR_RGB2RGBA)
    with_alpha[..., 3] = 0
    return with_alpha.view("<u4").reshape(colors.shape[:-1])


def _unpacked(numbers: Array) -> Array:
    """Return numbers (N,) as colours (N, 3) int16."""
    return np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16], axis=1).astype(np.int16)
