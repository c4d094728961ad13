"""Image decoders without messages, and the largest image; errors are exceptions with the file name."""

from __future__ import annotations

import ctypes
import logging
import warnings
from contextlib import suppress
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xseg.errors import DataError


def silence_decoders() -> None:
    """Silence tifffile, Pillow and Pillow's libtiff for the rest of this process."""
    for name in ("tifffile", "PIL"):  # logging handlers of the user still get their messages
        logging.getLogger(name).addHandler(logging.NullHandler())
    warnings.filterwarnings("ignore", module=r"PIL\b")
    with suppress(AttributeError, OSError):  # Windows, where libtiff is part of Pillow's own library
        library = ctypes.CDLL(Image.core.__file__)  # type: ignore[attr-defined]
        for setter in (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler):
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)


def pixel_limit() -> int:
    """Return the largest number of pixels of an image: Pillow's limit against decompression bombs."""
    return 2 * (Image.MAX_IMAGE_PIXELS or 2**62)


def require_pixels(height: int, width: int, name: str) -> None:
    """Raise a DataError if an image has too many pixels."""
    if height * width > pixel_limit():
        got = f"{name} is too large: {height}x{width} pixels"
        raise DataError(got, expected=f"at most {pixel_limit()} pixels", remedy="cut it into smaller images")


def decode_with_opencv(content: bytes) -> NDArray[Any] | None:
    """Decode an image as (H, W) or (H, W, C) in RGB order, without messages; None if OpenCV cannot."""
    level = _set_log_level(0)
    try:
        array = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        _set_log_level(level)
    if array is None or array.ndim == 2:
        return array
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(array.shape[2])
    return array[..., order] if order else array


def _set_log_level(level: int) -> int:
    """Set the level of OpenCV's log (0: silent) and return the previous one."""
    module = cv2.utils.logging if hasattr(cv2.utils, "logging") else cv2  # moved in OpenCV 5
    return int(module.setLogLevel(level))
