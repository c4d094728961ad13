"""Image files become arrays: the one place that knows formats, colour modes, bit depths and orientation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from xseg.errors import DataError
from xseg.types import PathArgument

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read_image(path: PathArgument, channels: int = 3) -> Array:
    """Read an image file as a person sees it: with its EXIF orientation applied.

    Args:
        path: PNG, JPEG, TIFF, WebP or whatever else Pillow reads; a float TIFF of up to 4 channels; or a .npy array
            (H, W) or (H, W, C).
        channels: what to return. 3 turns grey, palette, CMYK and transparent images into RGB (transparency is
            dropped); 1 turns colour into grey; another number must be what the file has.

    Returns:
        (H, W, channels), contiguous and writable: uint8, or uint16 for 16-bit files, or float32. Three channels are in
        RGB order.

    Raises:
        DataError: if the file is missing, empty, truncated, too large, no image, or has other channels.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        return _read_array(path, channels)
    with decoding(path):
        try:
            picture = Image.open(path)
        except UnidentifiedImageError:
            return _fit_channels(_read_float_tiff(path), channels, str(path))
        with picture:
            if not _is_deep_color(picture):
                return image_array(picture, channels, name=str(path))
            orientation = _orientation(picture)
        return _fit_channels(_oriented(_decode_with_opencv(path), orientation), channels, str(path))


def image_array(picture: Image.Image, channels: int = 3, *, name: str = "image") -> Array:
    """Turn a Pillow image into an array, as `read_image` does for a file.

    Args:
        picture: any mode; its EXIF orientation is applied.
        channels: as for `read_image`.
        name: what errors call the image.

    Returns:
        (H, W, channels) uint8, uint16 or float32.

    Raises:
        DataError: if the image has other channels, or integers that 16 bits do not hold.
    """
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        array = _deep_grey(np.asarray(picture), name)
    elif channels in (1, 3) and picture.mode != _MODES[channels]:
        array = np.asarray(picture.convert(_MODES[channels]))
    else:
        array = np.asarray(picture)
    return _fit_channels(_oriented(array, _orientation(picture)), channels, name)


def image_size(path: PathArgument) -> tuple[int, int]:
    """Return height and width in pixels of an image as a person sees it, from the file's header alone.

    Raises:
        DataError: if the file is missing, empty, too large or no image.
    """
    path = Path(path)
    with decoding(path):
        if path.suffix.lower() == ".npy":
            height, width = np.load(path, mmap_mode="r", allow_pickle=False).shape[:2]
            return int(height), int(width)
        try:
            picture = Image.open(path)
        except UnidentifiedImageError:
            height, width = _read_float_tiff(path).shape[:2]
            return int(height), int(width)
        with picture:
            width, height = picture.size
            return (width, height) if _orientation(picture, header_only=True) >= 5 else (height, width)


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a file is decoded into one line that names the file.

    Raises:
        DataError: for every exception inside the block.
    """
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist", remedy="check the path") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder", expected="an image file") from error
    except PermissionError as error:
        raise DataError(f"{path} may not be read", remedy="check its permissions") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} is too large: {error}", remedy="cut it into smaller images") from error
    except Exception as error:  # decoders of damaged files raise nearly anything: SyntaxError, struct.error, KeyError
        reason = "is empty" if _is_empty(path) else f"cannot be decoded ({error or type(error).__name__})"
        raise DataError(f"{path} {reason}", expected="a whole image file", remedy="replace or remove it") from error


def _is_empty(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0


def _is_deep_color(picture: Image.Image) -> bool:
    """Tell whether Pillow would narrow 16-bit colours to 8 bits; known only before the pixels are loaded."""
    return len(picture.getbands()) > 1 and any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ()))


def _orientation(picture: Image.Image, header_only: bool = False) -> int:
    """Return the EXIF orientation, 1 to 8, that is still to be applied to Pillow's pixels."""
    if picture.format == "TIFF":  # Pillow and OpenCV apply a TIFF's orientation themselves
        return 1
    if header_only and picture.format == "PNG" and not {"exif", "Raw profile type exif"} & set(picture.info):
        return 1  # asking a PNG for EXIF data that its header lacks would decode all its pixels
    try:
        orientation = int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data, which raises nearly anything, must not cost a good image
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def _oriented(array: Array, orientation: int) -> Array:
    """Turn and mirror (H, W, ...) as EXIF 2.32, section 4.6.4, tag 274, says."""
    if orientation >= 5:
        array = np.swapaxes(array, 0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _deep_grey(array: Array, name: str) -> Array:
    """Return 16-bit or float grey as uint16 or float32."""
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.min() < 0 or array.max() > np.iinfo(np.uint16).max:
        raise DataError(f"{name} has values from {array.min()} to {array.max()}", expected="0 to 65535")
    return array.astype(np.uint16)


def _decode_with_opencv(path: Path) -> Array:
    """Decode what Pillow does not: deep and float colours. Returns RGB order, (H, W) or (H, W, C)."""
    array = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise DataError(f"{path} cannot be decoded", expected="a whole image file", remedy="replace or remove it")
    channels = array.shape[2] if array.ndim == 3 else 1
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(channels)
    return array[..., order] if order else array


def _read_float_tiff(path: Path) -> Array:
    """Read a TIFF that Pillow does not know; anything else is no image."""
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise DataError(f"{path} is empty", expected="a whole image file", remedy="replace or remove it")
    if start not in _TIFF_STARTS:
        raise DataError(f"{path} is not an image", expected="PNG, JPEG, TIFF or another picture format")
    return _decode_with_opencv(path)


def _read_array(path: Path, channels: int) -> Array:
    """Read a .npy array of pixels; never unpickles."""
    with decoding(path):
        return _fit_channels(np.load(path, allow_pickle=False), channels, str(path))


def _fit_channels(array: Array, channels: int, name: str) -> Array:
    """Return (H, W, channels), contiguous, of a supported type; grey is repeated where colour is asked."""
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or 0 in array.shape:
        raise DataError(f"{name} has shape {array.shape}", expected="(height, width) or (height, width, channels)")
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    if array.dtype not in (np.uint8, np.uint16, np.float32):
        raise DataError(f"{name} has {array.dtype} values", expected="uint8, uint16 or float32")
    if channels == 3 and array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    if channels == 3 and array.shape[2] == 4:
        array = array[..., :3]
    if array.shape[2] != channels:
        raise DataError(
            f"{name} has {array.shape[2]} channels",
            expected=str(channels),
            remedy="set channels to what the files have",
        )
    return np.require(array, requirements=["C", "W"])  # Pillow's own memory may not be written
