"""Outlines of the classes of a mask. Needs the extra `geo` (rasterio and shapely)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from xseg.errors import ConfigError
from xseg.predict.options import Medium
from xseg.predict.outputs.output import Output, RasterPrediction

if TYPE_CHECKING:
    from xseg.inference.prediction import Prediction
    from xseg.predict.sources import Source


@dataclass(frozen=True)
class Polygons(Output):
    """Outlines of the classes as GeoJSON.

    Args:
        tolerance: simplification of the polygons in pixels; 0 keeps every corner.

    Raises:
        ConfigError: if the tolerance is negative.
    """

    description: ClassVar[str] = "also write polygons/NAME.geojson: outlines of the classes, with class and area"
    folder: ClassVar[str] = "polygons"
    suffixes: ClassVar[Mapping[Medium, str]] = {"image": ".geojson", "raster": ".geojson"}
    overlapping: ClassVar[bool] = True

    tolerance: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ConfigError(f"tolerance={self.tolerance}", expected="0 or more pixels")

    def check(self, sources: Sequence[Source]) -> None:  # noqa: ARG002 - all sources are supported
        """Check that shapely and rasterio are installed."""
        from xseg.predict.geotiff import geo_environment
        from xseg.predict.outputs.geojson import require_shapely

        require_shapely()
        with geo_environment("outlining a mask"):
            pass

    def write_image(self, prediction: Prediction | RasterPrediction, path: Path) -> None:
        """Write the outlines of a mask in pixels, or of a GeoTIFF's mask in its coordinates."""
        from xseg.predict.outputs.geojson import write_polygons

        write_polygons(prediction.mask, path, prediction.labels, tolerance=self.tolerance)

    def write_raster(self, raster: RasterPrediction, path: Path) -> None:
        """Write the outlines of a GeoTIFF's mask."""
        self.write_image(raster, path)
