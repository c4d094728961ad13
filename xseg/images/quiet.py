"""Decoders of images kept from printing: errors become exceptions with the file's name, so theirs would only repeat."""

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
    for name in ("tifffile", "PIL"):  # a log that the user has set up still gets their messages
        logging.getLogger(name).addHandler(logging.NullHandler())
    warnings.filterwarnings("ignore", module=r"PIL\b")
    with suppress(AttributeError, OSError):  # Windows, where libtiff is a part of Pillow's own library
        library = ctypes.CDLL(Image.core.__file__)  # type: ignore[attr-defined]
        for setter in (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler):
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Silence OpenCV's log while the block runs."""
    level = _set_log_level(0)
    try:
        yield
    finally:
        _set_log_level(level)


def _set_log_level(level: int) -> int:
    """Set the level of OpenCV's log, where 0 is silence, and return the one before."""
    module = cv2.utils.logging if hasattr(cv2.utils, "logging") else cv2  # OpenCV 5 has moved it
    return int(module.setLogLevel(level))
