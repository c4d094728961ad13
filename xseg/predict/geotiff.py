"""GeoTIFFs, read and written by windows, with their place on the Earth. Needs the extra `geo` (rasterio)."""

from __future__ import annotations

import errno
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from xseg.errors import DataError, MissingExtraError
from xseg.files.memory import free_memory
from xseg.images.normalization import Normalization
from xseg.images.tiff import is_tiff
from xseg.inference.accumulator import TileInput
from xseg.inference.preprocessing import at_depth, float_scale
from xseg.inference.tiling import Tile
from xseg.labels.label_map import LabelMap
from xseg.types import PathArgument

if TYPE_CHECKING:
    from rasterio.io import DatasetReader, DatasetWriter

LARGE_PIXELS = 2**26  # a TIFF above this is read by windows, whether it is georeferenced or not
BLOCK = 512  # side of the blocks that are written, in pixels
CACHE_MEGABYTES = 128  # GDAL's own default is a twentieth of the machine's memory
SAMPLE = 64  # side of the windows by which a raster's scale is judged, in pixels
DISK_RESERVE = 32 * 2**20  # bytes; GDAL does not tell when it could not write its last blocks

# GeoTIFF 1.1, section 7.1: ModelPixelScale, ModelTiepoint, ModelTransformation, GeoKeyDirectory
_GEOREFERENCE = frozenset({33550, 33922, 34264, 34735})
WORLD_FILES = (".tfw", ".tifw", ".wld")


def is_raster(path: PathArgument) -> bool:
    """Tell from its header whether a file is to be read and written by windows.

    Args:
        path: any file.

    Returns:
        True for a TIFF with georeferencing (in its tags or in a world file) or with more than 2**26 pixels; False for
        everything else, a file that is missing or damaged too.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if not is_tiff(file):
                return False
            beside = any(path.with_suffix(suffix).exists() for suffix in WORLD_FILES)
            return beside or is_raster_file(file)
    except OSError:
        return False


def is_raster_file(file: BinaryIO) -> bool:
    """Tell the same of an open file, beside which no world file is looked for."""
    import tifffile

    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            located = bool(_GEOREFERENCE & {tag.code for tag in page.tags})
            return located or page.imagelength * page.imagewidth > LARGE_PIXELS
    except Exception:  # what a damaged header makes tifffile raise has no common class; reading will tell
        return False


@contextmanager
def geo_environment(purpose: str) -> Iterator[None]:
    """Set GDAL up: a small cache, errors as exceptions, no warning that a picture has no place on Earth.

    Raises:
        MissingExtraError: if rasterio is not installed.
    """
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning
    except ImportError as error:
        raise MissingExtraError("rasterio", extra="geo", purpose=purpose) from error
    with rasterio.Env(GDAL_CACHEMAX=CACHE_MEGABYTES, GDAL_NUM_THREADS="2"), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@dataclass(frozen=True, eq=False)
class RasterReader:
    """Windows of a GeoTIFF, as a model takes them.

    Args:
        path: the file.
        dataset: the open file.
        bands: numbers of the bands to read, from 1, in the order of the model's channels.
        normalization: channels and values that the model takes.
        scale: factor that brings the values to the model's scale.
        lock: held while a window is read.
    """

    path: Path
    dataset: DatasetReader
    bands: tuple[int, ...]
    normalization: Normalization
    scale: float = 1.0
    lock: Lock = field(default_factory=Lock)

    @property
    def height(self) -> int:
        """Of the raster, in pixels."""
        return int(self.dataset.height)

    @property
    def width(self) -> int:
        """Of the raster, in pixels."""
        return int(self.dataset.width)

    def read(self, tile: Tile) -> TileInput:
        """Read what a model is to see of a tile.

        A pixel is without data if all its bands are: by the file's nodata value, mask or alpha band, or not a number.
        It is filled with the mean that the normalisation subtracts.

        Raises:
            DataError: if the file is damaged there, or values are out of range.
        """
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        try:
            with self.lock:
                bands = self.dataset.read(self.bands, window=Window.from_slices(*tile.pixels), masked=True)
        except RasterioError as error:
            raise DataError(f"{self.path} cannot be read: {_reason(error)}", expected="a whole GeoTIFF") from error
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
        self._check_range(values, tile)
        pixels = np.ascontiguousarray(values.transpose(1, 2, 0))
        if len(self.bands) < self.normalization.channels:
            pixels = np.repeat(pixels, self.normalization.channels, axis=2)
        return TileInput(tile, pixels, None if valid.all() else valid)

    def _check_range(self, values: NDArray[Any], tile: Tile) -> None:
        lowest, highest = float(values.min()), float(values.max())
        if lowest < 0 or highest > self.normalization.maximum:
            raise DataError(
                f"{self.path} has values from {lowest:g} to {highest:g} near row {tile.row.start}, column "
                f"{tile.column.start}",
                expected=f"0 to {self.normalization.maximum:g}, as the model was trained",
                remedy="is its nodata value set? gdal_edit.py -a_nodata sets it",
            )


@contextmanager
def open_raster(path: PathArgument, normalization: Normalization) -> Iterator[RasterReader]:
    """Open a GeoTIFF for a model; inside `geo_environment`.

    Args:
        path: a GeoTIFF whose bands are the model's channels, an alpha band not counted; one grey band does for a
            model of three.
        normalization: says which channels and values the model takes.

    Raises:
        DataError: if the file is missing, damaged, no TIFF, has other bands, or is stored in blocks that are too large.
    """
    import rasterio
    from rasterio.errors import RasterioError

    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist", remedy="check the path")
    try:
        # The driver is named, as others open what is no image, such as a list of further files
        dataset = rasterio.open(path, driver="GTiff")
    except RasterioError as error:
        raise DataError(f"{path} cannot be read: {_reason(error)}", expected="a whole GeoTIFF") from error
    with dataset:
        bands = _bands(dataset, normalization.channels, path)
        _check_blocks(dataset, path)
        reader = RasterReader(path, dataset, bands, normalization, _scale(dataset, bands, normalization, path))
        try:
            yield reader
        finally:
            with reader.lock:  # a thread may still read ahead, and GDAL does not bear that its file is closed then
                dataset.close()


def _bands(dataset: DatasetReader, channels: int, path: Path) -> tuple[int, ...]:
    from rasterio.enums import ColorInterp

    colors = [interpretation for interpretation in dataset.colorinterp if interpretation != ColorInterp.alpha]
    if ColorInterp.palette in colors:
        raise DataError(
            f"{path} has a colour table", expected="bands of colours", remedy="gdal_translate -expand rgb makes them"
        )
    if any(np.dtype(kind).kind not in "uif" for kind in dataset.dtypes):
        raise DataError(f"{path} has {dataset.dtypes[0]} values", expected="integers or floats")
    if len(colors) not in {channels, 1 if channels == 3 else channels}:
        raise DataError(
            f"{path} has {len(colors)} bands", expected=f"{channels}", remedy="gdal_translate -b 1 -b 2 … selects bands"
        )
    return tuple(
        number for number, interpretation in enumerate(dataset.colorinterp, 1) if interpretation != ColorInterp.alpha
    )


def _scale(dataset: DatasetReader, bands: tuple[int, ...], normalization: Normalization, path: Path) -> float:
    """Return the factor that brings a raster's floats to the model's scale, judged by windows all over it."""
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    if not any(np.dtype(kind).kind == "f" for kind in dataset.dtypes):
        return 1.0
    height, width = min(SAMPLE, dataset.height), min(SAMPLE, dataset.width)
    rows = np.unique(np.linspace(0, dataset.height - height, 4, dtype=int)).tolist()
    columns = np.unique(np.linspace(0, dataset.width - width, 4, dtype=int)).tolist()
    try:
        windows = [
            dataset.read(bands, window=Window(column, row, width, height), masked=True)
            for row in rows
            for column in columns
        ]
    except RasterioError:  # reading the tile reports it, with the place
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
            remedy="gdal_translate -co TILED=YES makes them",
        )


def _supported(values: NDArray[Any]) -> NDArray[Any]:
    """Return (C, h, w) as uint8, uint16 or float32."""
    return values if values.dtype in (np.uint8, np.uint16) else values.astype(np.float32)


def mask_type(labels: LabelMap) -> tuple[str, int]:
    """Return the number type of a raster of train ids, and its value for "no data": `ignore_index` where it fits."""
    kind, highest = ("uint8", 255) if len(labels) <= 255 else ("uint16", 65535)
    fits = len(labels) <= labels.ignore_index <= highest
    return kind, labels.ignore_index if fits else highest


@contextmanager
def create_like(path: Path, like: DatasetReader, *, count: int, dtype: str, nodata: float) -> Iterator[DatasetWriter]:
    """Create a GeoTIFF of the size and the place on Earth of another one, in compressed blocks; written by windows.

    Args:
        path: the file.
        like: the raster whose size, coordinate system and transform, or ground control points, it gets.
        count: number of bands.
        dtype: of the values.
        nodata: the value that means "no data".
    """
    import rasterio

    profile = {"driver": "GTiff", "height": like.height, "width": like.width, "count": count, "dtype": dtype}
    blocks = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "bigtiff": "if_safer"}
    if dtype.startswith("float"):
        blocks["predictor"] = 3
    points, points_crs = like.gcps
    place = {} if points else {"crs": like.crs, "transform": like.transform}
    with rasterio.open(path, "w", **profile, **blocks, **place, nodata=nodata) as dataset:
        if points:
            dataset.gcps = (points, points_crs)
        if like.rpcs:
            dataset.rpcs = like.rpcs
        dataset.update_tags(**{key: like.tags()[key] for key in ("AREA_OR_POINT",) if key in like.tags()})
        yield dataset


def write_window(dataset: DatasetWriter, values: NDArray[Any], rows: slice, columns: slice) -> None:
    """Write (h, w) into the first band, or (count, h, w) into all.

    Raises:
        OSError: if the disk is full, or the file cannot be written.
    """
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    folder = Path(dataset.name).parent
    if shutil.disk_usage(folder).free < DISK_RESERVE:
        raise OSError(errno.ENOSPC, "no space left on device", str(folder))
    try:
        dataset.write(values, *([1] if values.ndim == 2 else []), window=Window.from_slices(rows, columns))
    except RasterioError as error:
        raise OSError(errno.EIO, f"cannot be written: {_reason(error)}", dataset.name) from error


def add_colors(dataset: DatasetWriter, labels: LabelMap) -> None:
    """Give a raster of train ids its colour table, before its first window is written."""
    colors = {index: (*color, 255) for index, color in enumerate(labels.colors)}
    dataset.write_colormap(1, colors)


def add_overviews(path: Path) -> None:
    """Add reduced copies of a raster to its file, each of half the size, so that viewers show all of it at once.

    Each pixel is the commonest class of the pixels that it stands for.
    """
    import rasterio
    from rasterio.enums import Resampling

    with rasterio.open(path, "r+") as dataset:
        factors: list[int] = []
        while max(dataset.height, dataset.width) > BLOCK << len(factors):
            factors.append(2 << len(factors))
        if factors:
            dataset.build_overviews(factors, Resampling.mode)


def _reason(error: Exception) -> str:
    return str(error.__cause__ or error).strip().partition("\n")[0]
