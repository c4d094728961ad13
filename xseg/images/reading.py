"""Read image files as arrays, with formats, colour modes, bit depths and orientation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from xseg.errors import DataError, XsegError
from xseg.images.png import checked_png, is_png, require_possible_size
from xseg.images.quiet import decode_with_opencv, silence_decoders
from xseg.images.tiff import Array, is_tiff, oriented, read_tiff, tiff_size
from xseg.types import Channels, PathArgument

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_ARRAY_START = b"\x93NUMPY"
_MODES: dict[Channels, str] = {1: "L", 3: "RGB", 4: "RGBA"}

silence_decoders()


def read_image(source: PathArgument | bytes, channels: Channels = 3, *, name: str = "") -> Array:
    """Read an image file with its EXIF orientation applied.

    Args:
        source: path or content of a file: PNG, JPEG, WebP or another format of Pillow; a TIFF with any bands, as one
            page or one page per band; or a .npy array (H, W) or (H, W, C).
        channels: number of channels to return. 3 converts grey, palette, CMYK and transparent images to RGB
            (transparency is dropped); 1 converts colour to grey; any other number must match the file. Or the bands to
            return, counted from 1 as in GDAL: (2,) is the green of a colour image.
        name: name of the image in error messages; the path if empty.

    Returns:
        Contiguous, writable array (H, W, channels) in uint8, uint16 (16-bit files) or float32. Three channels are in
        RGB order. For an animation, the first frame.

    Raises:
        DataError: if the file is missing, empty, truncated, too large, no image, or has other channels.
        MissingExtraError: if a TIFF's compression needs an optional package.
    """
    name = name or ("image" if isinstance(source, bytes) else str(source))
    with decoding(name), opened(source) as file:
        if is_array_file(file):
            return _fit_channels(read_array(file), channels, name)
        try:
            picture = Image.open(file)
        except UnidentifiedImageError:
            _require_tiff(file, name)
            return _fit_channels(read_tiff(file, name), channels, name)
        with picture:
            require_possible_size(file, name)
            if picture.format == "TIFF" and not _is_plain_tiff(picture, channels):
                file.seek(0)
                return _fit_channels(read_tiff(file, name), channels, name)
            if not _is_deep_color(picture):
                return image_array(picture, channels, name=name)
            orientation = orientation_of(picture)
        file.seek(0)
        return _fit_channels(oriented(_decode_with_opencv(file, name), orientation), channels, name)


def image_array(picture: Image.Image, channels: Channels = 3, *, name: str = "image") -> Array:
    """Convert a Pillow image of any mode to an array, as `read_image` does for a file.

    Returns:
        Array (H, W, channels) in uint8, uint16 or float32, with the EXIF orientation applied.

    Raises:
        DataError: if the image has other channels, or integers beyond 16 bits.
    """
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        array = np.asarray(picture)
    elif channels in (1, 3) and picture.mode != _MODES[channels]:
        array = np.asarray(picture.convert(_MODES[channels]))
    elif isinstance(channels, tuple) and picture.mode not in ("L", "LA", "RGB", "RGBA"):
        array = np.asarray(picture.convert("L" if picture.mode == "1" else "RGB"))
    else:
        array = np.asarray(picture)
    return _fit_channels(oriented(array, orientation_of(picture)), channels, name)


def image_size(source: PathArgument | bytes, *, name: str = "") -> tuple[int, int]:
    """Return height and width of an image in pixels after EXIF orientation, from the header of the file or content.

    Raises:
        DataError: if the file is missing, empty, too large or no image.
    """
    name = name or str(source)
    with decoding(name), opened(source) as file:
        if is_array_file(file):
            array = read_array(file) if isinstance(source, bytes) else np.load(source, "r", allow_pickle=False)
            return int(array.shape[0]), int(array.shape[1])
        try:
            picture = Image.open(file)
        except UnidentifiedImageError:
            _require_tiff(file, name)
            return tiff_size(file, name)
        with picture:
            width, height = picture.size
            return (width, height) if orientation_of(picture, header_only=True) >= 5 else (height, width)


def opened(source: PathArgument | bytes) -> BinaryIO:
    """Open a file or its content for reading."""
    return BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


@contextmanager
def decoding(name: PathArgument) -> Iterator[None]:
    """Turn exceptions during decoding into one line with the name of the file.

    Raises:
        XsegError: for any exception inside the context.
    """
    try:
        yield
    except XsegError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{name} does not exist", remedy="check the path") from error
    except IsADirectoryError as error:
        raise DataError(f"{name} is a folder", expected="an image file") from error
    except PermissionError as error:
        raise DataError(f"{name} cannot be read: permission denied", remedy="check its permissions") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{name} is too large: {error}", remedy="cut it into smaller images") from error
    except Exception as error:  # damaged files raise almost any exception: SyntaxError, struct.error, KeyError
        path = Path(name)
        empty = path.is_file() and path.stat().st_size == 0
        reason = "is empty" if empty else f"cannot be decoded ({error or type(error).__name__})"
        raise DataError(f"{name} {reason}", expected="a complete image file", remedy="replace or remove it") from error


def is_array_file(file: BinaryIO) -> bool:
    """Return whether a file is a NumPy array, and leave its position at the start."""
    start = file.read(len(_ARRAY_START))
    file.seek(0)
    return start == _ARRAY_START


def read_array(file: BinaryIO) -> Array:
    """Read a .npy array without unpickling."""
    array: Array = np.load(file, allow_pickle=False)
    return array


def _is_plain_tiff(picture: Image.Image, channels: Channels) -> bool:
    """Return whether Pillow reads a TIFF completely: one page of 1, 3 or 4 bands of 8 bits, or one band."""
    bits, bands = picture.tag_v2.get(258, (1,)), int(picture.tag_v2.get(277, 1))  # type: ignore[attr-defined]
    if getattr(picture, "n_frames", 1) > 1 or (bands > 1 and channels not in (1, 3)):
        return False
    return bands == 1 or (bands <= 4 and max(bits) == 8)


def _is_deep_color(picture: Image.Image) -> bool:
    """Return whether Pillow would reduce 16-bit colours to 8 bits; known only before the pixels are loaded."""
    return len(picture.getbands()) > 1 and any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ()))


def orientation_of(picture: Image.Image, *, header_only: bool = False) -> int:
    """Return the EXIF orientation, 1 to 8, that must still be applied to Pillow's pixels."""
    if picture.format == "TIFF":  # Pillow and OpenCV apply a TIFF's orientation themselves
        return 1
    if header_only and picture.format == "PNG" and not {"exif", "Raw profile type exif"} & set(picture.info):
        return 1  # reading EXIF data that is not in the header of a PNG would decode all its pixels
    try:
        orientation = int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data raise almost any exception, but the image may be fine
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def _decode_with_opencv(file: BinaryIO, name: str) -> Array:
    """Decode 16-bit colours, which Pillow would reduce to 8 bits, as (H, W) or (H, W, C) in RGB order."""
    content = file.read()
    if is_png(content):
        content = checked_png(content, name)
    array = decode_with_opencv(content)
    if array is None:
        raise DataError(f"{name} cannot be decoded", expected="a complete image file", remedy="replace or remove it")
    return array


def _require_tiff(file: BinaryIO, name: str) -> None:
    """Raise for a file that Pillow does not recognise unless it is a TIFF."""
    file.seek(0)
    if not file.read(1):
        raise DataError(f"{name} is empty", expected="a complete image file", remedy="replace or remove it")
    file.seek(0)
    if not is_tiff(file):
        raise DataError(f"{name} is not an image", expected="PNG, JPEG, TIFF or another picture format")


def _fit_channels(array: Array, channels: Channels, name: str) -> Array:
    """Return a contiguous (H, W, channels) array of a supported type, with grey repeated or colour made grey."""
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or 0 in array.shape:
        raise DataError(f"{name} has shape {array.shape}", expected="(height, width) or (height, width, channels)")
    array = _supported(array, name)
    if isinstance(channels, tuple):
        if max(channels) > array.shape[2]:
            got = f"{name} has {array.shape[2]} bands"
            raise DataError(got, expected=f"band {max(channels)}, as in channels={[*channels]}")
        return np.require(array[..., [band - 1 for band in channels]], requirements=["C", "W"])
    if channels == 3 and array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    if channels in (1, 3) and array.shape[2] == 4:
        array = array[..., :3]
    if channels == 1 and array.shape[2] == 3:
        array = cv2.cvtColor(np.ascontiguousarray(array), cv2.COLOR_RGB2GRAY)[..., None]  # weights of ITU-R BT.601
    if array.shape[2] != channels:
        got, remedy = f"{name} has {array.shape[2]} channels", "set channels to the number in the files"
        raise DataError(got, expected=str(channels), remedy=remedy)
    return np.require(array, requirements=["C", "W"])  # Pillow's own memory is read-only


def _supported(array: Array, name: str) -> Array:
    """Return pixels as uint8, uint16 or float32."""
    if array.dtype in (np.uint8, np.uint16, np.float32):
        return array
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype.kind not in "iu":
        raise DataError(f"{name} has {array.dtype} values", expected="integers or floats")
    if array.min() < 0 or array.max() > np.iinfo(np.uint16).max:
        raise DataError(f"{name} has values from {array.min()} to {array.max()}", expected="0 to 65535")
    return array.astype(np.uint16)
