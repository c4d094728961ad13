"""Suppress messages of image decoders; errors are raised as exceptions with the file name."""

from __future__ import annotations

import ctypes
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import cv2
from PIL import Image


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


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Silence OpenCV's log while the context is open."""
    level = _set_log_level(0)
    try:
        yield
    finally:
        _set_log_level(level)


def _set_log_level(level: int) -> int:
    """Set the level of OpenCV's log (0: silent) and return the previous one."""
    module = cv2.utils.logging if hasattr(cv2.utils, "logging") else cv2  # moved in OpenCV 5
    return int(module.setLogLevel(level))
