"""Outlines of the classes of a mask as GeoJSON. Needs the extra `geo` (rasterio and shapely)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xseg.errors import ConfigError, DataError, MissingExtraError
from xseg.files.atomic import atomic_path
from xseg.labels.label_map import LabelMap
from xseg.predict.geotiff import geo_environment, open_geotiff
from xseg.predict.outputs.outlining import Joiner, Mask, outline_block
from xseg.types import PathArgument

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.io import DatasetReader

BLOCK = 2048  # side of the blocks in pixels, which are outlined one by one

ReadBlock: TypeAlias = Callable[[slice, slice, int], Mask]


@dataclass(frozen=True)
class PolygonSummary:
    """Summary of the written polygons.

    Args:
        polygons: number of features.
        area_unit: "m2" for a projected coordinate system, else "px2".
        cut: number of joins left out because a polygon was too large for the memory; it is divided into features.
    """

    polygons: int
    area_unit: str
    cut: int


@dataclass(frozen=True)
class Georeference:
    """Name of the coordinate system, metres per unit (0 if it is no length), and transform of pixels to coordinates."""

    crs: str = ""
    unit: float = 0.0
    transform: Affine | None = None


def write_polygons(
    mask: Mask | PathArgument, destination: PathArgument, labels: LabelMap, *, tolerance: float = 1.0
) -> PolygonSummary:
    """Write the outlines of a mask's classes as GeoJSON, completely or not at all.

    Each polygon is a region of one class whose pixels touch at their sides, with its holes, and has the properties
    `class`, `class_id` (the train id), `area` and `area_unit`. Background and pixels without class are left out.

    Args:
        mask: train ids, (H, W) integers, outlined in pixels, with x to the right and y downwards from the top left
            corner; or a GeoTIFF with train ids, outlined in its own coordinates, whose system is named for GDAL and
            QGIS. Of overlapping classes, (H, W, classes) of 0 and 1, or a GeoTIFF with a band of them per class.
        destination: path of the file.
        labels: label map of the train ids and their background.
        tolerance: tolerance in pixels: corners that span a triangle smaller than its square are dropped (Visvalingam
            and Whyatt 1993), equally for both neighbours. 1 straightens stairs; 0 keeps the outlines of the pixels.

    Raises:
        ConfigError: if the tolerance is negative.
        DataError: if the mask cannot be read.
        MissingExtraError: if rasterio or shapely is not installed.
        OSError: if the file cannot be written.
    """
    if not tolerance >= 0:
        raise ConfigError(f"tolerance={tolerance}", expected="0 or more pixels")
    require_shapely()
    with (
        geo_environment("outlining a mask"),
        _opened(mask, overlapping=labels.overlapping) as (read, size, place),
        atomic_path(destination) as temporary,
    ):
        count, cut = _write(temporary, labels, read, size=size, place=place, tolerance=tolerance)
    return PolygonSummary(count, "m2" if place.unit else "px2", cut)


def _write(
    path: Path, labels: LabelMap, read: ReadBlock, *, size: tuple[int, int], place: Georeference, tolerance: float
) -> tuple[int, int]:
    """Write the file, and return the numbers of features and of joins left out."""
    cut = 0
    with path.open("w", encoding="utf-8") as file:
        features = _FeatureFile(file, labels, place)
        for band in labels.objects if labels.overlapping else (0,):
            joiner = Joiner(size, features.write)
            for top in range(0, size[0], BLOCK):
                for left in range(0, size[1], BLOCK):
                    rows = slice(top, min(top + BLOCK, size[0]))
                    columns = slice(left, min(left + BLOCK, size[1]))
                    block = read(rows, columns, band)
                    if labels.overlapping:
                        block = np.where(block == 1, band, len(labels))
                    outlines, ids = outline_block(block, (top, left), len(labels), tolerance)
                    kept = np.isin(ids, labels.objects)
                    joiner.add(outlines[kept], ids[kept], rows, columns)
                joiner.end_row()
            cut += joiner.cut
        file.write("\n]}\n")
    return features.count, cut


def require_shapely() -> None:
    """Raise MissingExtraError if shapely is not installed."""
    try:
        import shapely  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("shapely", extra="geo", purpose="outlining a mask") from error


@contextmanager
def _opened(
    mask: Mask | PathArgument, *, overlapping: bool
) -> Iterator[tuple[ReadBlock, tuple[int, int], Georeference]]:
    """Yield a function that reads a block of a band, height and width, and the georeferencing of the mask."""
    if isinstance(mask, np.ndarray):
        if mask.ndim != 2 + overlapping:
            raise DataError(f"a mask of shape {mask.shape}", expected="(height, width)")
        bands = np.atleast_3d(mask)
        yield (lambda rows, columns, band: bands[rows, columns, band]), (mask.shape[0], mask.shape[1]), Georeference()
        return
    from rasterio.windows import Window

    with open_geotiff(mask, expected="a GeoTIFF of train ids") as dataset:
        yield (
            lambda rows, columns, band: dataset.read(band + 1, window=Window.from_slices(rows, columns)),
            dataset.shape,
            _located(dataset),
        )


def _located(dataset: DatasetReader) -> Georeference:
    from rasterio.transform import from_gcps

    points, points_crs = dataset.gcps
    crs, transform = (points_crs, from_gcps(points)) if points else (dataset.crs, dataset.transform)
    if not crs:
        return Georeference() if transform.is_identity else Georeference(transform=transform)
    code, unit = crs.to_epsg(), crs.linear_units_factor[1] if crs.is_projected else 0.0
    return Georeference(f"urn:ogc:def:crs:EPSG::{code}" if code else crs.to_wkt(), float(unit), transform)


class _FeatureFile:
    """A GeoJSON file that is written feature by feature.

    Source: RFC 7946; the coordinate system is named as in its predecessor of 2008, for GDAL and QGIS.
    """

    def __init__(self, file: TextIO, labels: LabelMap, place: Georeference) -> None:
        self.count = 0
        self._file, self._labels, self._place = file, labels, place
        head: dict[str, Any] = {"type": "FeatureCollection"}
        if place.crs:
            head["crs"] = {"type": "name", "properties": {"name": place.crs}}
        file.write(json.dumps(head)[:-1] + ', "features": [')

    def write(self, polygons: NDArray[Any], classes: Sequence[int] | NDArray[np.int64]) -> None:
        """Add polygons, given in pixels of the mask."""
        import shapely

        polygons = shapely.simplify(polygons, 0)  # drops corners on straight lines
        placed = shapely.transform(polygons, self._coordinates) if self._place.transform else polygons
        areas = shapely.area(placed) * self._place.unit**2 if self._place.unit else shapely.area(polygons)
        outlines = shapely.to_geojson(shapely.orient_polygons(placed))
        for outline, area, class_id in zip(outlines, areas.tolist(), np.asarray(classes).tolist(), strict=True):
            properties = {"class": self._labels.names[class_id], "class_id": class_id}
            properties |= {"area": round(area, 3), "area_unit": "m2" if self._place.unit else "px2"}
            start = "\n" if not self.count else ",\n"
            text = json.dumps(properties, ensure_ascii=False)
            self._file.write(f'{start}{{"type": "Feature", "properties": {text}, "geometry": {outline}}}')
            self.count += 1

    def _coordinates(self, corners: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert columns and rows to coordinates, to a hundredth of a pixel."""
        transform = self._place.transform
        if transform is None:
            return corners
        columns, rows = corners.T
        x = transform.a * columns + transform.b * rows + transform.c
        y = transform.d * columns + transform.e * rows + transform.f
        pixel = math.sqrt(abs(transform.determinant)) or 1.0
        return np.stack([x, y], axis=1).round(2 - math.floor(math.log10(pixel)))
