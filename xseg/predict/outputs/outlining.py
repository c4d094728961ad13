"""Outlines of a mask of any size, block by block. Needs the extra `geo` (rasterio and shapely).

Within a block, neighbours share their simplified border. Along the seams between blocks, borders keep every pixel until
the polygons of both sides are joined.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from shapely import Polygon

MAX_WAITING = 4_000_000  # vertices that wait for the blocks below, with 16 bytes each, and several copies while joined

Mask: TypeAlias = NDArray[Any]
WritePolygons: TypeAlias = Callable[[NDArray[Any], NDArray[np.int64]], None]


def outline_block(
    block: Mask, origin: tuple[int, int], classes: int, tolerance: float
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the polygons of a block, in pixels of the whole mask, and their classes.

    Pixels without class are outlined too, as neighbours, and then dropped.
    """
    import shapely
    from rasterio.features import shapes
    from rasterio.transform import Affine
    from shapely.geometry import shape

    known = np.where((block >= 0) & (block < classes), block, classes).astype(np.int32)
    found = list(shapes(known, connectivity=4, transform=Affine.translation(origin[1], origin[0])))
    polygons = np.array([shape(outline) for outline, _ in found], object)
    ids = np.array([value for _, value in found], np.int64)
    # With a corner at every pixel, neighbours match corner by corner, which is required to simplify them together.
    polygons = shapely.transform(shapely.segmentize(polygons, 1.0), np.rint)
    if tolerance > 0:
        polygons = shapely.coverage_simplify(polygons, tolerance, simplify_boundary=False)
    return polygons[ids < classes], ids[ids < classes]


@dataclass(eq=False)
class Joiner:
    """Joins polygons across the seams between blocks of a mask of a size, and writes complete polygons with classes."""

    size: tuple[int, int]
    write: WritePolygons
    cut: int = 0
    _parents: dict[int, int] = field(default_factory=dict)
    _classes: dict[int, int] = field(default_factory=dict)
    _pieces: dict[int, list[Polygon]] = field(default_factory=lambda: defaultdict(list))
    _above: NDArray[np.int64] = field(init=False)  # number of the polygon along the seam above, per column; -1 for none
    _below: NDArray[np.int64] = field(init=False)
    _left: NDArray[np.int64] = field(init=False)  # the same along the seam to the left, per row
    _next: int = 0

    def __post_init__(self) -> None:
        self._above = np.full(self.size[1], -1)
        self._below = np.full(self.size[1], -1)
        self._left = np.full(0, -1)

    def add(self, outlines: NDArray[Any], ids: NDArray[np.int64], rows: slice, columns: slice) -> None:
        """Add the polygons of a block and their classes; those that touch no seam are written immediately."""
        import shapely

        bounds = shapely.bounds(outlines).reshape(-1, 4)
        inner = (columns.start > 0, rows.start > 0, columns.stop < self.size[1], rows.stop < self.size[0])
        edges = (columns.start, rows.start, columns.stop, rows.stop)
        touching = np.zeros(len(bounds), np.bool_)
        for side in range(4):
            if inner[side]:
                touching |= bounds[:, side] == edges[side]
        self.write(outlines[~touching], ids[~touching])
        numbers = np.arange(self._next, self._next + int(touching.sum()))
        self._next += len(numbers)
        polygons, classes = outlines[touching], ids[touching].tolist()
        for number, polygon, class_id in zip(numbers.tolist(), polygons, classes, strict=True):
            self._parents[number], self._classes[number] = number, class_id
            self._pieces[number].append(polygon)
        left, top, right, bottom = (
            _owners(polygons, numbers, axis=side % 2, at=edges[side], along=(rows, columns)[side % 2])
            for side in range(4)
        )
        if inner[0]:
            self._join(self._left, left)
        if inner[1]:
            self._join(self._above[columns], top)
        self._left = right
        if inner[3]:
            self._below[columns] = bottom

    def end_row(self) -> None:
        """Write polygons that end in this row of blocks, and join the others."""
        import shapely

        waiting = {self._root(number) for number in np.unique(self._below[self._below >= 0]).tolist()}
        for root in [root for root in self._pieces if root not in waiting]:
            self._flush(root)
        sizes: dict[int, int] = {}
        for root in waiting:
            if len(self._pieces[root]) > 1:
                self._pieces[root] = [shapely.coverage_union_all(self._pieces[root])]
            sizes[root] = int(shapely.get_num_coordinates(self._pieces[root]).sum())
        total = sum(sizes.values())
        for root in sorted(sizes, key=sizes.__getitem__, reverse=True):
            if total <= MAX_WAITING:
                break
            self._flush(root)
            total -= sizes[root]
            self.cut += 1
        roots = {number: self._root(number) for number in self._parents}
        self._parents = {number: root for number, root in roots.items() if root in waiting}
        self._classes = {number: self._classes[number] for number in waiting}
        self._above, self._below = self._below, np.full(self.size[1], -1)

    def _flush(self, root: int) -> None:
        import shapely

        pieces = self._pieces.pop(root, [])
        if pieces:
            whole = shapely.get_parts(shapely.coverage_union_all(pieces))
            self.write(whole, np.full(len(whole), self._classes[root]))

    def _join(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> None:
        """Join the polygons of one class on both sides of a seam."""
        both = (one >= 0) & (other >= 0)
        for first, second in np.unique(np.stack([one[both], other[both]], axis=1), axis=0).tolist():
            first_root, second_root = self._root(first), self._root(second)
            if first_root != second_root and self._classes[first_root] == self._classes[second_root]:
                self._parents[second_root] = first_root
                self._pieces[first_root] += self._pieces.pop(second_root, [])

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number


def _owners(polygons: NDArray[Any], numbers: NDArray[np.int64], *, axis: int, at: int, along: slice) -> NDArray[Any]:
    """Return the number of the polygon at each pixel along a vertical (axis 0) or horizontal side; -1 for none."""
    import shapely

    owners = np.full(along.stop - along.start, -1)
    rings, ring_polygons = shapely.get_rings(polygons, return_index=True)
    corners, corner_rings = shapely.get_coordinates(rings, return_index=True)
    first, second = corners[:-1], corners[1:]
    on_side = (first[:, axis] == at) & (second[:, axis] == at) & (corner_rings[:-1] == corner_rings[1:])
    positions = np.minimum(first[on_side, 1 - axis], second[on_side, 1 - axis]).astype(np.int64) - along.start
    owners[positions] = numbers[ring_polygons[corner_rings[:-1][on_side]]]
    return owners
