"""Masks, which are written for every source."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from xseg.predict.options import Medium
from xseg.predict.outputs.output import Output, WriteTile
from xseg.types import MaskValues

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from xseg.inference.accumulator import Region
    from xseg.inference.prediction import Prediction
    from xseg.labels.label_map import LabelMap


@dataclass(frozen=True)
class Mask(Output):
    """Train ids: an indexed PNG, a GeoTIFF, or a folder with a PNG per frame of a video.

    Overlapping classes: a TIFF with a page per class, a GeoTIFF with a band per class, or a folder of TIFFs for frames.

    Args:
        mask_values: values in masks: index (numbers of the classes from 0, in PNGs with their colours as a palette),
            255 (0 and 255 for two classes), color (red, green and blue of the classes) or raw (the numbers in the masks
            of the data set); see docs/prediction.md for how to read them.
    """

    folder: ClassVar[str] = "masks"
    suffixes: ClassVar[Mapping[Medium, str]] = {"image": ".png", "raster": ".tif", "video": ""}
    overlapping: ClassVar[bool] = True
    always: ClassVar[frozenset[Medium]] = frozenset({"image", "raster", "video"})

    mask_values: MaskValues = "index"

    def table(self, labels: LabelMap) -> NDArray[Any] | None:
        """Return the table of values, None for train ids; raise ConfigError if the values do not fit the classes."""
        from xseg.labels.mask_values import value_table

        return None if self.mask_values == "index" else value_table(labels, self.mask_values)

    def suffix(self, medium: Medium, *, overlapping: bool) -> str:
        """Return .tif for an image with overlapping classes, as a PNG has at most four bands."""
        return ".tif" if overlapping and medium == "image" else self.suffixes[medium]

    def write_image(self, prediction: Prediction, path: Path) -> None:
        """Write a PNG, or a page per overlapping class."""
        prediction.save(path, self.mask_values)

    @contextmanager
    def stream_raster(self, like: DatasetReader, labels: LabelMap, path: Path) -> Iterator[WriteTile]:
        """Write a GeoTIFF with class colours, overviews, and no data where the source has none."""
        from rasterio.enums import ColorInterp

        from xseg.labels.mask_values import encoded
        from xseg.predict.geotiff import add_overviews, create_like, mask_type, write_window

        table, count, (kind, nodata) = self.table(labels), len(labels) if labels.overlapping else 1, mask_type(labels)
        if table is not None:
            count, kind, nodata = table[0].size, table.dtype.name, table[-1].tolist()
        missing = nodata if isinstance(nodata, int) else None
        with create_like(path, like, count=count, dtype=kind, nodata=missing) as dataset:
            if labels.overlapping:
                dataset.descriptions = labels.names
            elif count > 1:
                dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
            else:
                numbers = range(len(labels)) if table is None else table[:-1].tolist()
                colors = {number: (*rgb, 255) for number, rgb in zip(numbers, labels.colors, strict=True)}
                dataset.write_colormap(1, colors)

            def write(region: Region, mask: NDArray[Any]) -> None:
                values = mask if table is None else encoded(mask, table)
                bands = values.transpose(2, 0, 1) if values.ndim == 3 else values
                write_window(dataset, bands, region.rows, region.columns)

            yield write
        add_overviews(path)

    @contextmanager
    def ids_file(self, path: Path, labels: LabelMap) -> Iterator[Path]:
        """Yield a file of train ids for a mask: the mask itself, or a temporary file beside it."""
        table = self.table(labels)
        if table is None:
            yield path
            return
        temporary = path.with_name(f".{uuid.uuid4().hex[:12]}{path.suffix}")
        try:
            _write_ids(path, temporary, labels, table)
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)


def _write_ids(path: Path, destination: Path, labels: LabelMap, table: NDArray[Any]) -> None:
    """Write the train ids of a mask with the values of a table."""
    from xseg.inference.prediction import read_mask, save_mask
    from xseg.labels.mask_values import decoded
    from xseg.predict.geotiff import create_like, geo_environment, mask_type, open_geotiff, write_window

    if path.suffix == ".png":
        save_mask(read_mask(path, table), labels, destination)
        return
    kind, nodata = mask_type(labels)
    with (
        geo_environment(f"{path}, a GeoTIFF,"),
        open_geotiff(path) as source,
        create_like(destination, source, count=1, dtype=kind, nodata=nodata) as copy,
    ):
        for _, window in source.block_windows(1):
            pixels = source.read(window=window).transpose(1, 2, 0)
            values = pixels if table.ndim == 2 else pixels[..., 0]
            write_window(copy, decoded(values, table, nodata).astype(kind), *window.toslices())
