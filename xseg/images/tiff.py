"""TIFF files that Pillow does not read completely: many bands, 16-bit or float colours, one page per band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

from xseg.errors import DataError, MissingExtraError
from xseg.images.quiet import decode_with_opencv, require_pixels

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BAND_AXES = frozenset("SCQIZT")  # samples, channels, and names of page axes: other, sequence, depth, time
_ORIENTATION = 274


def is_tiff(file: BinaryIO) -> bool:
    """Return whether a file starts like a TIFF or BigTIFF, and leave its position at the start."""
    start = file.read(4)
    file.seek(0)
    return start in _STARTS


def read_tiff(file: BinaryIO, name: str) -> Array:
    """Read the bands of a TIFF of any number and type, with its orientation applied; `name` is for error messages.

    Returns:
        Array (H, W) or (H, W, bands) of the file's own type. Pages of one size are bands; smaller copies of the first
        page (overviews, thumbnails) are left out.

    Raises:
        DataError: if the pages are of several sizes or kinds, or have more pixels than the limit.
        MissingExtraError: if the compression needs an optional package.
    """
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        series = _only_series(tiff, name)
        height, width, bands = _shape(series, name)
        require_pixels(height, width, name)
        try:
            array = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            return _decode_otherwise(file, name, bands)
        axis = _band_axis(series)
        kept = [place for place, name in enumerate(series.axes) if name in "YX" or place == axis]
        array = array.reshape([array.shape[place] for place in kept])
        if axis is not None and axis < series.axes.index("X"):
            array = np.moveaxis(array, 0, -1)
        return oriented(array, _orientation(series))


def oriented(array: Array, orientation: int) -> Array:
    """Rotate and mirror (H, W, ...) according to EXIF 2.32, section 4.6.4, tag 274."""
    if orientation >= 5:
        array = np.swapaxes(array, 0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def tiff_size(file: BinaryIO, name: str) -> tuple[int, int]:
    """Return height and width in pixels after orientation, from the header.

    Raises:
        DataError: if the pages are of several sizes or kinds.
    """
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        series = _only_series(tiff, name)
        height, width, _ = _shape(series, name)
        return (width, height) if _orientation(series) >= 5 else (height, width)


def _only_series(tiff: TiffFile, name: str) -> TiffPageSeries:
    """Return the single image of the file; masks and smaller copies are ignored."""
    first, *others = tiff.series
    others = [series for series in others if not series.keyframe.is_reduced and not series.keyframe.is_mask]
    if others:
        sizes = ", ".join("x".join(map(str, series.shape)) for series in (first, *others[:3]))
        raise DataError(f"{name} holds {len(tiff.pages)} pages of different kinds ({sizes})", expected="one image")
    return first


def _band_axis(series: TiffPageSeries) -> int | None:
    """Return the index of the axis that is neither height nor width and longer than 1; None if there is none."""
    found = enumerate(zip(series.axes, series.shape, strict=True))
    return next((place for place, (axis, size) in found if axis not in "YX" and size > 1), None)


def _shape(series: TiffPageSeries, name: str) -> tuple[int, int, int]:
    """Return height, width and bands."""
    sizes = dict(zip(series.axes, series.shape, strict=True))
    others = [axis for axis, size in sizes.items() if axis not in "YX" and size > 1]
    if not {"Y", "X"} <= set(sizes) or len(others) > 1 or not _BAND_AXES.issuperset(others):
        got = f"{name} is a stack of shape {'x'.join(map(str, series.shape))} (axes {series.axes})"
        raise DataError(got, expected="height, width and at most one other axis, the channels")
    return sizes["Y"], sizes["X"], sizes[others[0]] if others else 1


def _orientation(series: TiffPageSeries) -> int:
    tag = series.keyframe.tags.get(_ORIENTATION)
    return int(tag.value) if tag is not None and 1 <= int(tag.value) <= 8 else 1


def _decode_otherwise(file: BinaryIO, name: str, bands: int) -> Array:
    """Decode a compression that tifffile lacks, with OpenCV for up to 4 bands and GDAL for any number."""
    file.seek(0)
    if bands <= 4:
        array = decode_with_opencv(file.read())
        if array is not None:
            return array  # OpenCV has applied the orientation
    try:
        import rasterio
    except ImportError as error:
        raise MissingExtraError("rasterio", extra="geo", purpose=f"the compression of {name}") from error
    with rasterio.open(file) as raster:
        return np.moveaxis(raster.read(), 0, -1)  # maps have no orientation
