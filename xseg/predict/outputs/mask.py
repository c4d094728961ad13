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
    """Train ids: an indexed PNG, a GeoTIFF, or a folder with a PNG per frame of a video.

    Overlapping classes: a TIFF with a page per class, a GeoTIFF with a band per class, or a folder of TIFFs for frames.
    """

    folder: ClassVar[str] = "masks"
    suffixes: ClassVar[Mapping[Medium, str]] = {"image": ".png", "raster": ".tif", "video": ""}
    overlapping: ClassVar[bool] = True
    always: ClassVar[frozenset[Medium]] = frozenset({"image", "raster", "video"})

    def suffix(self, medium: Medium, *, overlapping: bool) -> str:
        """Return .tif for an image with overlapping classes, as a PNG has at most four bands."""
        return ".tif" if overlapping and medium == "image" else self.suffixes[medium]

    def write_image(self, prediction: Prediction, path: Path) -> None:
        """Write an indexed PNG of train ids, or a page per class."""
        prediction.save(path)

    @contextmanager
    def stream_raster(self, like: DatasetReader, labels: LabelMap, path: Path) -> Iterator[WriteTile]:
        """Write a GeoTIFF with class colours, overviews, and `nodata` where the source has no data."""
        from xseg.predict.geotiff import add_overviews, create_like, mask_type, write_window

        kind, nodata = mask_type(labels)
        count = len(labels) if labels.overlapping else 1
        with create_like(path, like, count=count, dtype=kind, nodata=nodata) as dataset:
            if labels.overlapping:
                dataset.descriptions = labels.names
            else:
                dataset.write_colormap(1, {index: (*color, 255) for index, color in enumerate(labels.colors)})

            def write(region: Region, mask: NDArray[Any]) -> None:
                bands = mask.transpose(2, 0, 1) if mask.ndim == 3 else mask
                write_window(dataset, bands, region.rows, region.columns)

            yield write
        add_overviews(path)
