"""Masks, which are written for every source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from xseg.predict.options import Medium
from xseg.predict.outputs.output import Output, WriteTile

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from xseg.inference.accumulator import Region
    from xseg.inference.prediction import Prediction
    from xseg.labels.label_map import LabelMap


class Mask(Output):
    """Train ids: an indexed PNG, a GeoTIFF, or a folder with a PNG per frame of a video."""

    folder: ClassVar[str] = "masks"
    suffixes: ClassVar[Mapping[Medium, str]] = {"image": ".png", "raster": ".tif", "video": ""}
    always: ClassVar[frozenset[Medium]] = frozenset({"image", "raster", "video"})

    def write_image(self, prediction: Prediction, path: Path) -> None:
        """Write an indexed PNG of train ids."""
        prediction.save(path)

    @contextmanager
    def stream_raster(self, like: DatasetReader, labels: LabelMap, path: Path) -> Iterator[WriteTile]:
        """Write a GeoTIFF with class colours, overviews, and `nodata` where the source has no data."""
        from xseg.predict.geotiff import add_overviews, create_like, mask_type, write_window

        kind, nodata = mask_type(labels)
        with create_like(path, like, count=1, dtype=kind, nodata=nodata) as dataset:
            dataset.write_colormap(1, {index: (*color, 255) for index, color in enumerate(labels.colors)})

            def write(region: Region, mask: NDArray[Any]) -> None:
                write_window(dataset, mask, region.rows, region.columns)

            yield write
        add_overviews(path)
