"""Where the tiles of a large image lie, and how much each counts where they overlap: pure geometry.

Neighbours overlap. In the middle of the overlap one fades out while the other fades in; nearer to a tile's border,
where the model lacked context, it counts for nothing. The weights of all tiles add up to 1 at every pixel without being
divided, and at most two tiles meet along an axis, so that all but narrow strips is final as soon as its tile is in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

from xseg.errors import ConfigError

if TYPE_CHECKING:  # options are made of this module too, and `--help` answers without numpy
    import numpy as np
    from numpy.typing import NDArray

TileOption: TypeAlias = int | Literal["auto"]

# Tiles start at multiples of every output stride, so that a model's coarse grid lies on the same pixels in all of them.
ALIGNMENT = 32
FADE = 0.5  # share of an overlap in which neighbours are mixed; the rest is context alone


@dataclass(frozen=True)
class Tiling:
    """How large images are cut.

    Args:
        tile: side of a tile in pixels; 0 for the whole image at once.
        overlap: pixels that neighbours share, at least.
    """

    tile: int
    overlap: int


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in pixels of the image; all ends are one past the last pixel.

    Args:
        start: first pixel of the tile.
        stop: its end.
        low: first pixel where the tile counts.
        done: end of the pixels that no later tile counts at.
        high: end of the pixels where the tile counts.
        fade_in: pixels from `low` on that it shares with the tile before; from `done` on it shares with the next.
    """

    start: int
    stop: int
    low: int
    done: int
    high: int
    fade_in: int

    @property
    def counting(self) -> slice:
        """The pixels where the tile counts, relative to its start."""
        return slice(self.low - self.start, self.high - self.start)

    def weights(self) -> NDArray[np.float32]:
        """Return what the pixels from `low` to `high` count: (high - low,), above 0, at most 1."""
        import numpy as np

        weights = np.ones(self.high - self.low, np.float32)
        weights[: self.fade_in] = _rise(self.fade_in)
        weights[self.done - self.low :] = _rise(self.high - self.done)[::-1]
        return weights


@dataclass(frozen=True)
class Tile:
    """A tile.

    Args:
        row: its place from top to bottom.
        column: its place from left to right.
        again: whether it comes a second time, only for what it shares with its right neighbour.
    """

    row: Span
    column: Span
    again: bool = False

    @property
    def pixels(self) -> tuple[slice, slice]:
        """Rows and columns of the image that the tile sees."""
        return slice(self.row.start, self.row.stop), slice(self.column.start, self.column.stop)

    @property
    def finished(self) -> tuple[slice, slice]:
        """Rows and columns of the image that are final once this tile is in."""
        return slice(self.row.low, self.row.done), slice(self.column.low, self.column.done)


@dataclass(frozen=True)
class TilePlan:
    """The tiles of an image, all of one size, inside the image.

    Args:
        height: of the image in pixels.
        width: of the image in pixels.
        rows: the tiles from top to bottom.
        columns: the tiles from left to right.
    """

    height: int
    width: int
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @classmethod
    def fit(cls, height: int, width: int, *, tile: int, overlap: int) -> TilePlan:
        """Cover an image with tiles.

        Along each axis there are as few tiles as cover it, spread evenly, so that they overlap as much as their number
        allows; the last one ends with the image. An axis that is shorter than a tile has one tile of its own length.

        Args:
            height: of the image in pixels.
            width: of the image in pixels.
            tile: side of a tile in pixels; 0 for one tile that is the image.
            overlap: pixels that neighbours share at least, up to half a tile.

        Raises:
            ConfigError: if the image has no pixels, or tile and overlap do not go together.
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
        """Rows that a row of tiles shares with the next at most, in pixels."""
        return max(span.high - span.done for span in self.rows)

    def strips(self, max_width: int) -> Iterator[tuple[Tile, ...]]:
        """Divide the image into vertical strips that reach over at most `max_width` pixels, but two tiles at least.

        Each strip but the first begins with the column of tiles that the one before ended with, as it fades into the
        next.

        Yields:
            The tiles of a strip, row by row, in a row from left to right.
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
    """Check what a user asked for, as far as that goes without an image and a model.

    Args:
        tile: "auto", 0 for the whole image, or the side of a tile in pixels.
        overlap: in pixels; None if it is to be chosen.

    Raises:
        ConfigError: if a value is out of range, or the overlap is above half a tile.
    """
    if isinstance(tile, str):
        if tile != "auto":
            raise ConfigError(f"tile={tile!r}", expected="auto, 0 (the whole image) or the side of a tile in pixels")
    elif tile < 0:
        raise ConfigError(f"tile={tile}", expected="auto, 0 (the whole image) or the side of a tile in pixels")
    if overlap is None:
        return
    if overlap < 0:
        raise ConfigError(f"overlap={overlap}", expected="0 or more pixels")
    if not isinstance(tile, str) and 0 < tile < 2 * overlap:
        raise ConfigError(
            f"overlap={overlap} of tile={tile}", expected="at most half a tile", remedy="take larger tiles"
        )


def _spans(size: int, tile: int, overlap: int) -> tuple[Span, ...]:
    """Cover one axis."""
    if tile >= size:
        return (Span(0, size, 0, size, size, 0),)
    step = tile - overlap
    grid = ALIGNMENT if step >= ALIGNMENT else 1
    count = math.ceil((size - tile) / (step // grid * grid))
    starts = [-(-index * (size - tile) // (count * grid)) * grid for index in range(count)]
    starts.append(size - tile)
    # Where each overlap is mixed: equally wide everywhere, in its middle. Two such places never meet: their middles are
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
    """Return `length` values that rise from 0 to 1, both left out; they and their mirror image add up to 1."""
    import numpy as np

    steps = (np.arange(length) + 0.5) / max(length, 1)
    return np.asarray(np.sin(np.pi / 2 * steps) ** 2, np.float32)
