"""GeoTIFFs: detection of files to be read by windows, and writing of georeferenced masks.

Needs the extra `geo` (rasterio). Imports no torch.
"""

from __future__ import annotations

import errno
import math
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from numpy.typing import NDArray

from xseg.errors import DataError, MissingExtraError
from xseg.labels.label_map import LabelMap
from xseg.types import PathArgument

if TYPE_CHECKING:
    from rasterio.io import DatasetReader, DatasetWriter

LARGE_PIXELS = 2**26  # larger TIFFs are read by windows, georeferenced or not
BLOCK = 512  # side of the written blocks in pixels
CACHE_MEGABYTES = 128  # GDAL's own default is a twentieth of the machine's memory
DISK_RESERVE = 32 * 2**20  # bytes; GDAL does not report it if the last blocks cannot be written

# GeoTIFF 1.1, section 7.1: ModelPixelScale, ModelTiepoint, ModelTransformation, GeoKeyDirectory
_GEOREFERENCE = frozenset({33550, 33922, 34264, 34735})
WORLD_FILES = (".tfw", ".tifw", ".wld")


def is_raster(path: PathArgument) -> bool:
    """Return, from its header, whether a file must be read and written by windows.

    Returns:
        True for a TIFF with georeferencing (in its tags or a world file) or with more than 2**26 pixels; False for all
        other files, including missing and damaged ones.
    """
    from xseg.images.tiff import is_tiff  # imports OpenCV, which `--help` does not need

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
    """Return the same for an open file, without looking for a world file."""
    import tifffile

    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            located = bool(_GEOREFERENCE & {tag.code for tag in page.tags})
            return located or page.imagelength * page.imagewidth > LARGE_PIXELS
    except Exception:  # tifffile's exceptions for damaged headers have no common class; reading reports the fault
        return False


def raster_size(file: BinaryIO) -> tuple[int, int] | None:
    """Return height and width of an open TIFF in pixels, from its header; None if the header is damaged."""
    import tifffile

    try:
        with tifffile.TiffFile(file) as tiff:
            return int(tiff.pages.first.imagelength), int(tiff.pages.first.imagewidth)
    except Exception:  # as above
        return None


@contextmanager
def geo_environment(purpose: str) -> Iterator[None]:
    """Set up GDAL: a small cache, errors as exceptions, no warning about missing georeferencing.

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


def open_geotiff(path: PathArgument, *, expected: str = "a complete GeoTIFF") -> DatasetReader:
    """Open a GeoTIFF, inside `geo_environment`; raise DataError if it is not the `expected` file."""
    import rasterio

    try:
        # The driver is given, as others open files that are not images, such as lists of files
        return rasterio.open(path, driver="GTiff")
    except rasterio.errors.RasterioError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}", expected=expected) from error


def mask_type(labels: LabelMap) -> tuple[str, int]:
    """Return the data type of masks, and the value for "no data": `ignore_index` if it fits."""
    if labels.overlapping:
        return "uint8", labels.ignore_index
    kind, highest = ("uint8", 255) if len(labels) <= 255 else ("uint16", 65535)
    fits = len(labels) <= labels.ignore_index <= highest
    return kind, labels.ignore_index if fits else highest


@contextmanager
def create_like(
    path: Path, like: DatasetReader, *, count: int, dtype: str, nodata: float | None
) -> Iterator[DatasetWriter]:
    """Create a GeoTIFF of `count` bands in compressed blocks for writing by windows.

    It has the size and the georeferencing of `like`: coordinate system and transform, or ground control points.
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
    """Write (h, w) to the first band, or (count, h, w) to all bands.

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
        raise OSError(errno.EIO, f"cannot be written: {reason(error)}", dataset.name) from error


def add_overviews(path: Path) -> None:
    """Add overviews to a raster, each half the size of the previous one, for fast display in viewers.

    Each pixel has the most frequent class of the pixels that it covers.
    """
    import rasterio
    from rasterio.enums import Resampling

    with rasterio.open(path, "r+") as dataset:
        levels = math.ceil(math.log2(max(dataset.shape) / BLOCK))
        if factors := [2 << level for level in range(levels)]:
            dataset.build_overviews(factors, Resampling.mode)


def reason(error: Exception) -> str:
    """Return the first line of GDAL's message."""
    return str(error.__cause__ or error).strip().partition("\n")[0]
