"""Random scaling and cropping, seeded pipelines, and conversion of pixels to network input."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeAlias

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # otherwise the import checks online for a newer version

import albumentations as A
import cv2
import numpy as np
import torch
from albumentations.core.type_definitions import Targets

from xseg.data.masks.numbers import class_pixels
from xseg.data.sample import Array
from xseg.errors import DataError
from xseg.images.normalization import Normalization

Transform: TypeAlias = A.Compose
_OPENCV_CHANNELS = 4  # warpAffine's limit with a constant border


class RandomScaleCrop(A.DualTransform):  # type: ignore[misc]
    """Resize by a random factor and crop a random window, with padding if the image is smaller.

    A single warp computes only the pixels of the window. If the resized image is smaller than the window, it gets a
    random position inside; TF DeepLab puts it into the upper left corner.

    Args:
        size: height and width of the window in pixels.
        scale: smallest and largest factor.
        scale_step: step between factors; 0 for any factor in the interval.
        fill: padding of images, one value per channel.
        fill_mask: padding of masks.
        rotation: largest rotation of the window about its centre, in degrees either way.
        class_weights: relative frequency of each class at the centre of windows.
        centred: share of windows, 0 to 1, centred on a pixel of a class, which is drawn by `class_weights` from the
            classes in the mask; other windows have any position.

    Source: TF DeepLab, `core/preprocess_utils.py`, get_random_scale, pad_to_bounding_box and random_crop.
    """

    _targets = (Targets.IMAGE, Targets.MASK)

    def __init__(
        self,
        size: tuple[int, int],
        scale: tuple[float, float],
        scale_step: float,
        fill: tuple[float, ...],
        fill_mask: int,
        *,
        rotation: float = 0.0,
        class_weights: tuple[float, ...] = (),
        centred: float = 0.0,
    ) -> None:
        super().__init__(p=1.0)
        self.rotation, self.class_weights, self.centred = rotation, class_weights, centred
        self.size, self.scale, self.scale_step = size, scale, scale_step
        self.fill, self.fill_mask = fill, fill_mask

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw factor and window, and return `matrix`, from pixels of the window to pixels of the image."""
        height, width = data["image"].shape[:2]
        factor = self._factor()
        rows, columns = self.size
        middle = self._class_pixel(data["mask"]) if self.centred and self.py_random.random() < self.centred else None
        if middle is None:
            top, left = self._offset(height * factor, rows), self._offset(width * factor, columns)
        else:
            top, left = (self._around(middle[i], (height, width)[i], factor, self.size[i]) for i in (0, 1))
        # Pixel centres: x_image + 0.5 = (x_window + 0.5 + left) / factor.
        matrix = np.array(
            [[1 / factor, 0, (left + 0.5) / factor - 0.5], [0, 1 / factor, (top + 0.5) / factor - 0.5]], np.float64
        )
        if self.rotation:
            angle = self.py_random.uniform(-self.rotation, self.rotation)
            turn = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), angle, 1.0)
            matrix = matrix @ np.vstack([turn, [0, 0, 1]])
        return {**params, "matrix": matrix}

    def apply(self, img: Array, matrix: Array, **params: Any) -> Array:  # noqa: ARG002 - albumentations' interface
        """Crop the window from an image (H, W, C) with linear interpolation."""
        warped = []
        for start in range(0, img.shape[2], _OPENCV_CHANNELS):
            part = slice(start, start + _OPENCV_CHANNELS)
            group = self._warp(img[..., part], matrix, cv2.INTER_LINEAR, self.fill[part])
            warped.append(group.reshape(*self.size, -1))
        return warped[0] if len(warped) == 1 else np.concatenate(warped, axis=2)

    def apply_to_mask(self, mask: Array, matrix: Array, **params: Any) -> Array:  # noqa: ARG002
        """Crop the window from a mask (H, W) or (H, W, classes) with nearest neighbour."""
        if mask.ndim == 2:
            return self._warp(mask, matrix, cv2.INTER_NEAREST, (self.fill_mask,))
        bands = np.moveaxis(mask, 2, 0)
        return np.stack([self._warp(band, matrix, cv2.INTER_NEAREST, (self.fill_mask,)) for band in bands], axis=2)

    def _warp(self, array: Array, matrix: Array, interpolation: int, fill: tuple[float, ...]) -> Array:
        flags = interpolation | cv2.WARP_INVERSE_MAP  # with a constant border
        warped: Array = cv2.warpAffine(
            np.ascontiguousarray(array), matrix, self.size[::-1], flags=flags, borderValue=fill
        )
        return warped

    def _factor(self) -> float:
        low, high = self.scale
        if self.scale_step == 0:
            return float(self.py_random.uniform(low, high))
        steps = int(np.floor((high - low) / self.scale_step + 1e-6))
        return float(low + self.scale_step * self.py_random.randint(0, steps))

    def _offset(self, length: float, window: int) -> float:
        """Return the start of the window on an axis of the resized image; negative for padding."""
        room = round(length) - window
        return float(self.py_random.randint(min(room, 0), max(room, 0)))

    def _class_pixel(self, mask: Array) -> tuple[int, int] | None:
        """Draw a class from a mask, and one of its pixels; None if no class has a weight."""
        counts = class_pixels(mask, len(self.class_weights))
        weights = [weight if count else 0.0 for weight, count in zip(self.class_weights, counts, strict=True)]
        if not any(weights):
            return None
        (drawn,) = self.py_random.choices(range(len(weights)), weights)
        here = mask == drawn if mask.ndim == 2 else mask[..., drawn] == 1
        place = np.flatnonzero(here)[self.py_random.randrange(int(counts[drawn]))]
        row, column = divmod(int(place), mask.shape[1])
        return row, column

    def _around(self, pixel: int, length: int, factor: float, window: int) -> float:
        """Return the start of a window with a pixel in its middle half, moved back into the resized image."""
        place = (pixel + 0.5) * factor + self.py_random.uniform(-0.25, 0.25) * window
        room = round(length * factor) - window
        return float(min(max(round(place - window / 2), min(room, 0)), max(room, 0)))


@contextmanager
def known_arguments_only() -> Iterator[None]:
    """Raise an error for unknown arguments, which albumentations drops with a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def transform_sample(
    transform: Transform, image: Array, mask: Array, *, seed: int, epoch: int, index: int
) -> tuple[Array, Array]:
    """Apply a pipeline with randomness that is a pure function of (seed, epoch, index).

    Args:
        transform: pipeline from `xseg.data.loading.augmentation.training_transform`.
        image: image, (H, W, C).
        mask: train ids, (H, W), or (H, W, classes).
        seed: random seed of the run, 0 or more.
        epoch: number of the epoch, 0 or more.
        index: index of the sample in its split; beyond its end for a repetition, see `ClassAwareSampler`.

    Returns:
        The augmented image (h, w, C) and mask (h, w) at the size of the crop.
    """
    seed_transform(transform, seed=seed, epoch=epoch, index=index)
    changed = transform(image=image, mask=mask)
    return changed["image"], changed["mask"]


def seed_transform(transform: Transform, *, seed: int, epoch: int, index: int) -> None:
    """Seed a pipeline as a pure function of (seed, epoch, index), each 0 or more."""
    state = np.random.SeedSequence((seed, epoch, index)).generate_state(1, np.uint32)
    transform.set_random_seed(int(state[0]))


def to_tensor(image: Array, normalization: Normalization, name: str) -> torch.Tensor:
    """Convert pixels to network input.

    Args:
        image: image, (H, W, C) uint8, uint16 or float32.
        normalization: normalisation with C channels.
        name: name of the image in error messages.

    Returns:
        Normalised image, (C, H, W) float32: (x / maximum - mean) / std.

    Raises:
        DataError: if channels or range of the image do not fit the normalisation.
    """
    if image.shape[2] != normalization.channels:
        got = f"{name} has {image.shape[2]} channels"
        raise DataError(got, expected=f"{normalization.channels}, as in the normalization")
    if image.dtype == (np.uint8 if normalization.maximum > 255 else np.uint16):
        got = f"{name} has {image.dtype} pixels, but the normalization's maximum is {normalization.maximum:g}"
        expected = "255 for 8-bit images, more for 16-bit ones"
        raise DataError(got, expected=expected, remedy="use files of one type, or set the normalization's maximum")
    if image.dtype == np.uint8:
        planes = np.empty((image.shape[2], *image.shape[:2]), np.float32)
        for channel, table in enumerate(_tables(normalization)):
            cv2.LUT(np.ascontiguousarray(image[..., channel]), table, dst=planes[channel])
        return torch.from_numpy(planes)
    return torch.from_numpy(np.ascontiguousarray(_normalized(image, normalization).transpose(2, 0, 1)))


def _normalized(values: Array, normalization: Normalization) -> Array:
    """Return (x / maximum - mean) / std of values (..., C), as float32."""
    mean = np.array(normalization.mean, np.float32)
    std = np.array(normalization.std, np.float32)
    scaled: Array = (values.astype(np.float32) / np.float32(normalization.maximum) - mean) / std
    return scaled


@lru_cache(maxsize=8)
def _tables(normalization: Normalization) -> Array:
    """Return the normalised value of every 8-bit value, (C, 256): a lookup takes a third of the computing time."""
    values = np.repeat(np.arange(256)[:, None], normalization.channels, axis=1)
    return np.ascontiguousarray(_normalized(values, normalization).T)
