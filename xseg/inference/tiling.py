"""Positions and weights of the tiles of a large image: pure geometry.

Neighbours overlap. In the middle of the overlap one tile fades out while the other fades in; closer to the border of a
tile, where the model lacks context, its weight is 0. The weights of all tiles add up to 1 at every pixel, and at most
two tiles meet along an axis, so that all pixels except narrow strips are final after their tile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

from xseg.errors import ConfigError

if TYPE_CHECKING:  # options import this module, and `--help` must not import numpy
    import numpy as np
    from numpy.typing import NDArray

TileOption: TypeAlias = int | Literal["auto"]

# Tiles start at multiples of every output stride, so that the model's coarse grid has the same pixels in all of them.
ALIGNMENT = 32
FADE = 0.5  # share of an overlap in which neighbours are mixed; the rest is only context


@dataclass(frozen=True)
class Tiling:
    """Size and overlap of tiles.

    Args:
        tile: side of a tile in pixels; 0 for the whole image.
        overlap: smallest overlap of neighbours in pixels.
    """

    tile: int
    overlap: int


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in pixels of the image; ends are exclusive.

    Args:
        start: first pixel of the tile.
        stop: end of the tile.
        low: first pixel with a weight.
        done: end of the pixels in which no later tile has a weight.
        high: end of the pixels with a weight.
        fade_in: number of pixels from `low` shared with the previous tile; pixels from `done` are shared with the next.
    """

    start: int
    stop: int
    low: int
    done: int
    high: int
    fade_in: int

    @property
    def counting(self) -> slice:
        """Pixels with a weight, relative to the start of the tile."""
        return slice(self.low - self.start, self.high - self.start)

    def weights(self) -> NDArray[np.float32]:
        """Return the weights of the pixels from `low` to `high`, (high - low,), above 0 and at most 1."""
        import numpy as np

        weights = np.ones(self.high - self.low, np.float32)
        weights[: self.fade_in] = _rise(self.fade_in)
        weights[self.done - self.low :] = _rise(self.high - self.done)[::-1]
        return weights


@dataclass(frozen=True)
class Tile:
    """A tile of an image; `again` says that it is repeated, only for the pixels shared with its right neighbour."""

    row: Span
    column: Span
    again: bool = False

    @property
    def pixels(self) -> tuple[slice, slice]:
        """Rows and columns of the image in the tile."""
        return slice(self.row.start, self.row.stop), slice(self.column.start, self.column.stop)

    @property
    def finished(self) -> tuple[slice, slice]:
        """Rows and columns of the image that are final after this tile."""
        return slice(self.row.low, self.row.done), slice(self.column.low, self.column.done)


@dataclass(frozen=True)
class TilePlan:
    """Tiles of one size that cover an image of a size in pixels, all inside it, from the top left."""

    height: int
    width: int
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @classmethod
    def fit(cls, height: int, width: int, *, tile: int, overlap: int) -> TilePlan:
        """Cover an image with tiles.

        Each axis has the smallest number of tiles that covers it, spread evenly, so that they overlap as much as
        possible; the last one ends with the image. An axis shorter than a tile has one tile of its own length.

        All sizes are in pixels: `height` and `width` of the image, the side of a `tile`, or 0 for a single tile with
        the whole image, and the smallest `overlap` of neighbours, up to half a tile.

        Raises:
            ConfigError: if the image has no pixels, or tile and overlap do not fit together.
        """
        if min(height, width) < 1:
            raise ConfigError(f"an image of {height}x{width} pixels", expected="at least one pixel")
        check_tiling(tile, overlap)
        return cls(height, width, _spans(height, tile or height, overlap), _spans(width, tile or width, overlap))

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.rows) * len(self.columns)

    @property
    def fade(self) -> int:
        """Largest number of pixel rows that a row of tiles shares with the next."""
        return max(span.high - span.done for span in self.rows)

    def strips(self, max_width: int) -> Iterator[tuple[Tile, ...]]:
        """Divide the image into vertical strips of at most `max_width` pixels, but at least two tiles.

        Each strip except the first starts with the last column of tiles of the previous strip, which fades into the
        next.

        Yields:
            The tiles of a strip, row by row and from left to right.
        """
        first = 0
        while first < len(self.columns):
            repeated = max(first - 1, 0)
            end = min(repeated + 2, len(self.columns))
            while end < len(self.columns) and self.columns[end].high - self.columns[repeated].low <= max_width:
                end += 1
            columns = range(repeated, end)
            yield tuple(Tile(row, self.columns[index], index < first) for row in self.rows for index in columns)
            first = end


def check_tiling(tile: TileOption, overlap: int | None) -> None:
    """Check the user's options, in pixels, as far as possible without image and model.

    Raises:
        ConfigError: if a value is out of range, or the overlap is above half a tile.
    """
    if tile != "auto" if isinstance(tile, str) else tile < 0:
        raise ConfigError(f"tile={tile!r}", expected="auto, 0 (the whole image) or the side of a tile in pixels")
    if overlap is not None and overlap < 0:
        raise ConfigError(f"overlap={overlap}", expected="0 or more pixels")
    if not isinstance(tile, str) and 0 < tile < 2 * (overlap or 0):
        got = f"overlap={overlap} of tile={tile}"
        raise ConfigError(got, expected="at most half a tile", remedy="use larger tiles")


def _spans(size: int, tile: int, overlap: int) -> tuple[Span, ...]:
    """Return the tiles that cover one axis."""
    if tile >= size:
        return (Span(0, size, 0, size, size, 0),)
    step = tile - overlap
    grid = ALIGNMENT if step >= ALIGNMENT else 1
    count = math.ceil((size - tile) / (step // grid * grid))
    starts = [-(-index * (size - tile) // (count * grid)) * grid for index in range(count)]
    starts.append(size - tile)
    # Overlaps are mixed in their middle, with equal widths everywhere. Two mixed parts never meet, as their middles are
    # half of two steps apart.
    steps = [after - before for before, after in pairwise(starts)]
    fade = min([round((tile - max(steps)) * FADE), *(sum(two) // 2 for two in pairwise(steps))])
    lows = [(start + before + tile - fade) // 2 for before, start in pairwise(starts)]
    spans = []
    for index, start in enumerate(starts):
        low, fade_in = (lows[index - 1], fade) if index else (0, 0)
        done, high = (lows[index], lows[index] + fade) if index < len(lows) else (size, size)
        spans.append(Span(start, start + tile, low, done, high, fade_in))
    return tuple(spans)


def _rise(length: int) -> NDArray[np.float32]:
    """Return `length` values that rise from 0 to 1, both excluded; with their mirror image they add up to 1."""
    import numpy as np

    steps = (np.arange(length) + 0.5) / max(length, 1)
    return np.asarray(np.sin(np.pi / 2 * steps) ** 2, np.float32)
