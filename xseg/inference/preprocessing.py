"""Conversion of a user's images to the input of a model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from xseg.errors import DataError, ShapeError
from xseg.images.normalization import Normalization
from xseg.images.reading import image_array, read_image

ImageArgument: TypeAlias = str | PathLike[str] | NDArray[Any] | Image.Image

DEPTHS: dict[type[np.unsignedinteger[Any]], int] = {np.uint8: 255, np.uint16: 65535}


def to_array(image: ImageArgument, normalization: Normalization) -> NDArray[Any]:
    """Return the pixels of an image after checking channels and values.

    Args:
        image: path; array (H, W, C) with channels in RGB order, or (H, W) in grey, with values from 0 to
            `normalization.maximum` or floats from 0 to 1; or PIL image, which is rotated by its EXIF orientation.
        normalization: normalisation, with number of channels and range of values.

    Returns:
        Array (H, W, C) in uint8, uint16 or float32.

    Raises:
        DataError: if a file cannot be read or has other channels, or values are out of range.
        ShapeError: if an array does not have the model's number of channels, or has no pixels.
    """
    channels, where = normalization.channels, "an image"
    if isinstance(image, str | PathLike):
        where = str(Path(image))
        array: NDArray[Any] = at_depth(read_image(image, normalization.source), normalization.maximum)
    elif isinstance(image, Image.Image):
        array = image_array(image, normalization.source)
    else:
        array = np.asarray(image)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim == 3 and array.shape[2] == 1 and channels == 3:
        array = np.repeat(array, 3, axis=2)
    if array.ndim == 3 and array.shape[2] != channels and array.shape[2] >= max(normalization.bands, default=1 << 16):
        array = array[..., [band - 1 for band in normalization.bands]]
    if array.ndim != 3 or array.shape[2] != channels or not array.size:
        expected = f"(height, width, {channels}), with the model's number of channels"
        raise ShapeError(f"{where} of shape {array.shape}", expected=expected)
    scale = float_scale(array, normalization.maximum, where)
    return _checked_values(array if scale == 1 else array * np.float32(scale), normalization.maximum, where)


def at_depth(array: NDArray[Any], maximum: float) -> NDArray[Any]:
    """Scale the 16-bit values of a file for an 8-bit model, and the other way round.

    White, `maximum` in the model's images, stays white at either depth. Values of arrays are not scaled, because their
    meaning is unknown.
    """
    if array.dtype == np.uint16 and maximum == DEPTHS[np.uint8]:
        return array.astype(np.float32) / np.float32(DEPTHS[np.uint16] / DEPTHS[np.uint8])
    if array.dtype == np.uint8 and maximum == DEPTHS[np.uint16]:
        return array.astype(np.uint16) * np.uint16(DEPTHS[np.uint16] // DEPTHS[np.uint8])
    return array


def float_scale(array: NDArray[Any], maximum: float, where: str) -> float:
    """Return the factor that scales the floats of an image, or a sample of them, to the range of a model.

    Floats from 0 to 1 with fractions among them can only be shares of white: the factor is `maximum`, the value of
    white in the model's images. Other floats are not scaled (1), with a warning, which names the image, if all of them
    are so small that it would be black.
    """
    if array.dtype.kind != "f" or maximum < DEPTHS[np.uint8] or not array.size:
        return 1.0
    lowest, highest = float(np.fmin.reduce(array, axis=None)), float(np.fmax.reduce(array, axis=None))  # without NaN
    if not (lowest >= 0 and 0 < highest < 2):  # false for NaN too
        return 1.0
    whole = bool(np.nan_to_num(array % 1 == 0, nan=True).all())
    if highest <= 1 and not whole:
        return maximum
    values = "only 0 and 1" if whole else f"values up to {highest:.4g}"
    warnings.warn(
        f"{where} holds floats, {values}: almost black for a model with white at {maximum:g}; if 1 is white, multiply "
        f"by {maximum:g}",
        stacklevel=2,
    )
    return 1.0


def _checked_values(array: NDArray[Any], maximum: float, where: str) -> NDArray[Any]:
    if array.dtype.kind not in "uif":
        raise DataError(f"{where} of type {array.dtype}", expected="numbers, for example uint8")
    lowest, highest = float(array.min()), float(array.max())
    if not (lowest >= 0 and highest <= maximum):  # false for NaN too
        raise DataError(f"{where} with values from {lowest:g} to {highest:g}", expected=f"0 to {maximum:g}")
    return array if array.dtype in (np.uint8, np.uint16) else array.astype(np.float32)


def to_batch(arrays: Sequence[NDArray[Any]], normalization: Normalization, device: torch.device) -> Tensor:
    """Normalise images of one size on the device.

    Args:
        arrays: N arrays (H, W, C) of one shape and type.
        normalization: normalisation of the values.
        device: device for the computation; bytes, not floats, are copied to it.

    Returns:
        Batch, (N, C, H, W) float32 in channels_last layout.
    """
    if device.type == "cpu" and all(array.dtype == np.uint8 for array in arrays):
        # A table is ten times as fast as arithmetic on a CPU; OpenCV drops the axis of one channel.
        looked_up = [cv2.LUT(array, _table(normalization)).reshape(array.shape) for array in arrays]
        pixels = torch.from_numpy(np.stack(looked_up))
    else:
        pixels = _normalized(torch.from_numpy(np.stack(arrays)).to(device), normalization)
    # (N, H, W, C) in memory, viewed as (N, C, H, W): the fastest layout for convolutions
    return pixels.permute(0, 3, 1, 2)


def _normalized(pixels: Tensor, normalization: Normalization) -> Tensor:
    """Normalise (N, H, W, C) values."""
    count, height, width, channels = pixels.shape
    # Whole rows are processed in place, because a last axis of 3 would not use vector units.
    rows = pixels.reshape(count * height, width * channels).to(torch.float32)
    mean = torch.tensor(normalization.mean, device=pixels.device).repeat(width)
    std = torch.tensor(normalization.std, device=pixels.device).repeat(width)
    rows.div_(normalization.maximum).sub_(mean).div_(std)
    return rows.view(count, height, width, channels)


@lru_cache(maxsize=8)
def _table(normalization: Normalization) -> NDArray[np.float32]:
    """Return the normalised value of each of the 256 byte values in every channel, (1, 256, C)."""
    values = torch.arange(256, dtype=torch.uint8)[None, None, :, None].repeat(1, 1, 1, normalization.channels)
    return _normalized(values, normalization)[0].numpy()
