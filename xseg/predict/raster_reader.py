"""Windows of a GeoTIFF as input of a model. Needs the extra `geo` (rasterio)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xseg.errors import DataError
from xseg.files.memory import free_memory
from xseg.images.normalization import Normalization
from xseg.inference.accumulator import TileInput
from xseg.inference.preprocessing import at_depth, float_scale
from xseg.inference.tiling import Tile
from xseg.predict.geotiff import open_geotiff, reason
from xseg.types import PathArgument

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

SAMPLE = 64  # side of the windows in pixels that are sampled for the scale of a raster


@dataclass(frozen=True, eq=False)
class RasterReader:
    """Reads windows of a GeoTIFF as input of a model.

    The `bands` are numbers from 1, in the order of the model's channels. The `scale` is the factor from the values to
    the range of the model. The lock is held while a window is read.
    """

    path: Path
    dataset: DatasetReader
    bands: tuple[int, ...]
    normalization: Normalization
    scale: float = 1.0
    lock: Lock = field(default_factory=Lock)

    def read(self, tile: Tile) -> TileInput:
        """Read the input of a model for a tile.

        A pixel has no data if none of its bands has, by the file's nodata value, mask or alpha band, or NaN. It is
        filled with the mean of the normalisation.

        Raises:
            DataError: if the file is damaged, or values are out of range.
        """
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        try:
            with self.lock:
                bands = self.dataset.read(self.bands, window=Window.from_slices(*tile.pixels), masked=True)
        except RasterioError as error:
            raise DataError(f"{self.path} cannot be read: {reason(error)}", expected="a complete GeoTIFF") from error
        values = at_depth(_supported(bands.data), self.normalization.maximum)
        values = values if self.scale == 1 else values * np.float32(self.scale)
        missing = np.ma.getmaskarray(bands)
        if values.dtype.kind == "f":
            missing = missing | np.isnan(values)
        valid: NDArray[np.bool_] = np.logical_not(missing.all(axis=0))
        if not valid.any():
            return TileInput(tile, None, valid)
        if missing.any():
            mean = np.asarray(self.normalization.mean[: len(self.bands)]) * self.normalization.maximum
            mean = mean.round() if values.dtype.kind == "u" else mean
            values = np.where(missing, mean[:, None, None].astype(values.dtype), values)
        lowest, highest = float(values.min()), float(values.max())
        if lowest < 0 or highest > self.normalization.maximum:
            near = f"row {tile.row.start}, column {tile.column.start}"
            raise DataError(
                f"{self.path} has values from {lowest:g} to {highest:g} near {near}",
                expected=f"0 to {self.normalization.maximum:g}, as the model was trained",
                remedy="set a missing nodata value with gdal_edit.py -a_nodata",
            )
        pixels = np.ascontiguousarray(values.transpose(1, 2, 0))
        if len(self.bands) < self.normalization.channels:
            pixels = np.repeat(pixels, self.normalization.channels, axis=2)
        return TileInput(tile, pixels, None if valid.all() else valid)


@contextmanager
def open_raster(path: PathArgument, normalization: Normalization) -> Iterator[RasterReader]:
    """Open a GeoTIFF for a model; inside `geo_environment`.

    Args:
        path: path of a GeoTIFF whose bands, without alpha, are the model's channels; a single grey band also fits a
            model with three channels.
        normalization: normalisation, with number of channels and range of values.

    Raises:
        DataError: if the file is missing, damaged, not a TIFF, has other bands, or is stored in too large blocks.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist", remedy="check the path")
    with open_geotiff(path) as dataset:
        bands = _bands(dataset, normalization, path)
        _check_blocks(dataset, path)
        reader = RasterReader(path, dataset, bands, normalization, _scale(dataset, bands, normalization, path))
        try:
            yield reader
        finally:
            with reader.lock:  # a thread may still be prefetching, during which GDAL's file must not be closed
                dataset.close()


def _bands(dataset: DatasetReader, normalization: Normalization, path: Path) -> tuple[int, ...]:
    from rasterio.enums import ColorInterp

    channels, chosen = normalization.channels, normalization.bands
    colors = [color for color in dataset.colorinterp if color != ColorInterp.alpha]
    if ColorInterp.palette in colors:
        remedy = "convert it with gdal_translate -expand rgb"
        raise DataError(f"{path} has a colour table", expected="bands of colours", remedy=remedy)
    if any(np.dtype(kind).kind not in "uif" for kind in dataset.dtypes):
        raise DataError(f"{path} has {dataset.dtypes[0]} values", expected="integers or floats")
    if chosen and max(chosen) <= dataset.count:
        return chosen
    if chosen or len(colors) not in {channels, 1 if channels == 3 else channels}:
        wanted, remedy = ", ".join(map(str, chosen)), "select bands with gdal_translate -b 1 -b 2 …"
        expected = f"bands {wanted}" if chosen else f"{channels}"
        raise DataError(f"{path} has {len(colors)} bands", expected=expected, remedy=remedy)
    return tuple(number for number, color in enumerate(dataset.colorinterp, 1) if color != ColorInterp.alpha)


def _scale(dataset: DatasetReader, bands: tuple[int, ...], normalization: Normalization, path: Path) -> float:
    """Return the factor from a raster's floats to the range of the model, from windows spread over the raster."""
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    if not any(np.dtype(kind).kind == "f" for kind in dataset.dtypes):
        return 1.0
    height, width = min(SAMPLE, dataset.height), min(SAMPLE, dataset.width)
    rows = np.unique(np.linspace(0, dataset.height - height, 4, dtype=int)).tolist()
    columns = np.unique(np.linspace(0, dataset.width - width, 4, dtype=int)).tolist()
    try:
        places = [Window(column, row, width, height) for row in rows for column in columns]
        windows = [dataset.read(bands, window=place, masked=True) for place in places]
    except RasterioError:  # reading the tile reports it, with its position
        return 1.0
    sample = np.concatenate([window.compressed() for window in windows])
    return float_scale(_supported(sample), normalization.maximum, str(path))


def _check_blocks(dataset: DatasetReader, path: Path) -> None:
    """Refuse a file whose smallest readable part does not fit into memory."""
    height, width = dataset.block_shapes[0]
    size = height * width * dataset.count * np.dtype(dataset.dtypes[0]).itemsize
    if size > free_memory() // 4:
        raise DataError(
            f"{path} is stored in blocks of {height}x{width} pixels ({size / 2**30:.1f} GiB)",
            expected="blocks that fit into memory",
            remedy="convert it with gdal_translate -co TILED=YES",
        )


def _supported(values: NDArray[Any]) -> NDArray[Any]:
    """Return (C, h, w) as uint8, uint16 or float32."""
    return values if values.dtype in (np.uint8, np.uint16) else values.astype(np.float32)
