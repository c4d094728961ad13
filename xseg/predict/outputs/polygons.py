"""Outlines of the classes of a mask, as GeoJSON. Needs the extra `geo` (rasterio and shapely).

A mask is outlined block by block, so that its size does not matter. Within a block neighbours share their simplified
border; along the seams between blocks borders stay as they are, pixel by pixel, until the pieces of both sides are
joined, and the seam is gone.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xseg.errors import ConfigError, DataError, MissingExtraError
from xseg.files.atomic import atomic_path
from xseg.labels.label_map import LabelMap
from xseg.predict.geotiff import geo_environment
from xseg.types import PathArgument

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.io import DatasetReader
    from shapely import Polygon

BLOCK = 2048  # side of the blocks that are outlined one by one, in pixels
MAX_WAITING = 4_000_000  # vertices that wait for the blocks below; 16 bytes each, several times while they are joined

Mask: TypeAlias = NDArray[Any]
ReadBlock: TypeAlias = Callable[[slice, slice], Mask]


@dataclass(frozen=True)
class PolygonSummary:
    """What was written.

    Args:
        polygons: number of features.
        area_unit: "m2" for a projected coordinate system, else "px2".
        cut: joins that were given up, as the polygon grew too large for the memory: it goes on as another feature.
    """

    polygons: int
    area_unit: str
    cut: int


@dataclass(frozen=True)
class Frame:
    """Where a mask lies.

    Args:
        crs: name of its coordinate system, "" for none.
        unit: metres per unit of its coordinates; 0 where they are no lengths.
        transform: from columns and rows to coordinates; None for none.
    """

    crs: str = ""
    unit: float = 0.0
    transform: Affine | None = None


def write_polygons(
    mask: Mask | PathArgument, destination: PathArgument, labels: LabelMap, *, tolerance: float = 1.0
) -> PolygonSummary:
    """Write the outlines of a mask's classes as GeoJSON, whole or not at all.

    Each polygon is a region of one class whose pixels touch at their sides, with its holes, and has the properties
    `class`, `class_id` (the train id), `area` and `area_unit`. Pixels that are no class are left out.

    Args:
        mask: (H, W) integer train ids, outlined in pixels, x to the right and y downwards from the top left corner;
            or a GeoTIFF of them, outlined in its own coordinates, which the file names as GDAL and QGIS read it.
        destination: the file.
        labels: what the train ids mean.
        tolerance: in pixels: corners that span a triangle of less than its square are dropped (Visvalingam and Whyatt
            1993), for both neighbours alike. 1 makes stairs straight; 0 keeps the pixels' outlines.

    Raises:
        ConfigError: if the tolerance is negative.
        DataError: if the mask cannot be read.
        MissingExtraError: if rasterio or shapely is not installed.
        OSError: if the file cannot be written.
    """
    if not tolerance >= 0:
        raise ConfigError(f"tolerance={tolerance}", expected="0 or more pixels")
    _require_shapely()
    with geo_environment("outlining a mask"), _opened(mask) as (read, size, frame), atomic_path(destination) as beside:
        count, cut = _write(beside, labels, read, size=size, frame=frame, tolerance=tolerance)
    return PolygonSummary(count, "m2" if frame.unit else "px2", cut)


def _write(
    path: Path, labels: LabelMap, read: ReadBlock, *, size: tuple[int, int], frame: Frame, tolerance: float
) -> tuple[int, int]:
    """Write the file; return the number of features and of joins that were given up."""
    with path.open("w", encoding="utf-8") as file:
        features = _FeatureFile(file, labels, frame)
        joiner = _Joiner(size, features)
        for top in range(0, size[0], BLOCK):
            for left in range(0, size[1], BLOCK):
                rows, columns = _range(top, size[0]), _range(left, size[1])
                joiner.add(_outline(read(rows, columns), (top, left), len(labels), tolerance), rows, columns)
            joiner.end_row()
        features.close()
    return features.count, joiner.cut


def _require_shapely() -> None:
    try:
        import shapely  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("shapely", extra="geo", purpose="outlining a mask") from error


def _range(start: int, end: int) -> slice:
    return slice(start, min(start + BLOCK, end))


@contextmanager
def _opened(mask: Mask | PathArgument) -> Iterator[tuple[ReadBlock, tuple[int, int], Frame]]:
    """Give a function that reads a block, height and width, and where the mask lies."""
    if isinstance(mask, np.ndarray):
        if mask.ndim != 2:
            raise DataError(f"a mask of shape {mask.shape}", expected="(height, width)")
        yield (lambda rows, columns: mask[rows, columns]), (mask.shape[0], mask.shape[1]), Frame()
        return
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    try:
        dataset = rasterio.open(mask, driver="GTiff")
    except RasterioError as error:
        raise DataError(f"{mask} cannot be read: {error}", expected="a GeoTIFF of train ids") from error
    with dataset:
        yield (
            lambda rows, columns: dataset.read(1, window=Window.from_slices(rows, columns)),
            dataset.shape,
            _frame(dataset),
        )


def _frame(dataset: DatasetReader) -> Frame:
    from rasterio.transform import from_gcps

    points, points_crs = dataset.gcps
    crs, transform = (points_crs, from_gcps(points)) if points else (dataset.crs, dataset.transform)
    if transform.is_identity and not crs:
        return Frame()
    name = ""
    if crs:
        code = crs.to_epsg()
        name = f"urn:ogc:def:crs:EPSG::{code}" if code else crs.to_wkt()
    unit = crs.linear_units_factor[1] if crs and crs.is_projected else 0.0
    return Frame(name, float(unit), transform)


@dataclass(frozen=True, eq=False)
class _Outlined:
    """The polygons of a block, in pixels of the whole mask, and the class of each."""

    polygons: NDArray[Any]
    classes: NDArray[np.int64]


def _outline(block: Mask, origin: tuple[int, int], classes: int, tolerance: float) -> _Outlined:
    """Outline a block; what is no class is outlined too, as a neighbour, and then dropped."""
    import shapely
    from rasterio.features import shapes
    from rasterio.transform import Affine
    from shapely.geometry import shape

    known = np.where((block >= 0) & (block < classes), block, classes).astype(np.int32)
    found = list(shapes(known, connectivity=4, transform=Affine.translation(origin[1], origin[0])))
    polygons = np.array([shape(outline) for outline, _ in found], object)
    ids = np.array([value for _, value in found], np.int64)
    # A corner at every pixel makes neighbours match corner by corner, as simplifying them together requires.
    polygons = shapely.transform(shapely.segmentize(polygons, 1.0), np.rint)
    if tolerance > 0:
        polygons = shapely.coverage_simplify(polygons, tolerance, simplify_boundary=False)
    return _Outlined(polygons[ids < classes], ids[ids < classes])


@dataclass(eq=False)
class _Joiner:
    """Joins what the seams between blocks have cut, and passes on what is complete.

    Args:
        size: height and width of the mask.
        features: takes complete polygons.
    """

    size: tuple[int, int]
    features: _FeatureFile
    cut: int = 0
    _parents: dict[int, int] = field(default_factory=dict)
    _classes: dict[int, int] = field(default_factory=dict)
    _pieces: dict[int, list[Polygon]] = field(default_factory=lambda: defaultdict(list))
    _above: NDArray[np.int64] = field(init=False)  # which piece lies along the seam above, per column; -1 for none
    _below: NDArray[np.int64] = field(init=False)
    _left: NDArray[np.int64] = field(init=False)  # and along the seam to the left, per row
    _next: int = 0

    def __post_init__(self) -> None:
        self._above = np.full(self.size[1], -1)
        self._below = np.full(self.size[1], -1)
        self._left = np.full(0, -1)

    def add(self, outlined: _Outlined, rows: slice, columns: slice) -> None:
        """Take a block's polygons; those that touch no seam are passed on at once."""
        import shapely

        bounds = shapely.bounds(outlined.polygons).reshape(-1, 4)
        inner = (columns.start > 0, rows.start > 0, columns.stop < self.size[1], rows.stop < self.size[0])
        edges = (columns.start, rows.start, columns.stop, rows.stop)
        touching = np.zeros(len(bounds), np.bool_)
        for side in range(4):
            if inner[side]:
                touching |= bounds[:, side] == edges[side]
        self.features.write(outlined.polygons[~touching], outlined.classes[~touching])
        numbers = np.arange(self._next, self._next + int(touching.sum()))
        self._next += len(numbers)
        polygons, classes = outlined.polygons[touching], outlined.classes[touching].tolist()
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
        """Pass on what nothing below can belong to, and join what goes on."""
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
        self._parents = {number: root for number, root in self._compressed() if root in waiting}
        self._classes = {number: self._classes[number] for number in waiting}
        self._above, self._below = self._below, np.full(self.size[1], -1)

    def _flush(self, root: int) -> None:
        import shapely

        pieces = self._pieces.pop(root, [])
        if pieces:
            whole = shapely.get_parts(shapely.coverage_union_all(pieces))
            self.features.write(whole, np.full(len(whole), self._classes[root]))

    def _join(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> None:
        """Join the pieces of one class that lie on both sides of a seam."""
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

    def _compressed(self) -> list[tuple[int, int]]:
        return [(number, self._root(number)) for number in list(self._parents)]


def _owners(polygons: NDArray[Any], numbers: NDArray[np.int64], *, axis: int, at: int, along: slice) -> NDArray[Any]:
    """Tell which polygon lies along a side of a block, per pixel.

    Args:
        polygons: with a corner at every pixel along the sides of the block.
        numbers: of the polygons.
        axis: 0 for a vertical side, 1 for a horizontal one.
        at: the side's x or y.
        along: the pixels of the side.

    Returns:
        A number per pixel; -1 where no polygon is.
    """
    import shapely

    owners = np.full(along.stop - along.start, -1)
    rings, ring_polygons = shapely.get_rings(polygons, return_index=True)
    corners, corner_rings = shapely.get_coordinates(rings, return_index=True)
    first, second = corners[:-1], corners[1:]
    on_side = (first[:, axis] == at) & (second[:, axis] == at) & (corner_rings[:-1] == corner_rings[1:])
    positions = np.minimum(first[on_side, 1 - axis], second[on_side, 1 - axis]).astype(np.int64) - along.start
    owners[positions] = numbers[ring_polygons[corner_rings[:-1][on_side]]]
    return owners


class _FeatureFile:
    """A GeoJSON file that grows feature by feature.

    Source: RFC 7946; the coordinate system is named as in its predecessor of 2008, which GDAL and QGIS read.
    """

    def __init__(self, file: TextIO, labels: LabelMap, frame: Frame) -> None:
        self.count = 0
        self._file, self._labels, self._frame = file, labels, frame
        head: dict[str, Any] = {"type": "FeatureCollection"}
        if frame.crs:
            head["crs"] = {"type": "name", "properties": {"name": frame.crs}}
        file.write(json.dumps(head)[:-1] + ', "features": [')

    def write(self, polygons: NDArray[Any], classes: Sequence[int] | NDArray[np.int64]) -> None:
        """Add polygons in pixels of the mask."""
        import shapely

        polygons = shapely.simplify(polygons, 0)  # drops what lies on straight lines
        placed = shapely.transform(polygons, self._place) if self._frame.transform else polygons
        areas = shapely.area(placed) * self._frame.unit**2 if self._frame.unit else shapely.area(polygons)
        outlines = shapely.to_geojson(shapely.orient_polygons(placed))
        for outline, area, class_id in zip(outlines, areas.tolist(), np.asarray(classes).tolist(), strict=True):
            properties = {
                "class": self._labels.names[class_id],
                "class_id": class_id,
                "area": round(area, 3),
                "area_unit": "m2" if self._frame.unit else "px2",
            }
            start = "\n" if not self.count else ",\n"
            text = json.dumps(properties, ensure_ascii=False)
            self._file.write(f'{start}{{"type": "Feature", "properties": {text}, "geometry": {outline}}}')
            self.count += 1

    def close(self) -> None:
        """End the file."""
        self._file.write("\n]}\n")

    def _place(self, corners: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn columns and rows into coordinates, to a hundredth of a pixel."""
        transform = self._frame.transform
        if transform is None:
            return corners
        columns, rows = corners.T
        x = transform.a * columns + transform.b * rows + transform.c
        y = transform.d * columns + transform.e * rows + transform.f
        pixel = math.sqrt(abs(transform.determinant)) or 1.0
        return np.stack([x, y], axis=1).round(2 - math.floor(math.log10(pixel)))
