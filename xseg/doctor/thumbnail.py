"""Detection of image copies with another size, compression, brightness or contrast."""

from __future__ import annotations

import cv2
import numpy as np

from xseg.data.sample import Array

SIDE = 32
CONTRAST = 40.0  # standard deviation of a thumbnail
SAME = 0.03
"""Largest distance of two copies. Measured on CamVid: frames 1/15 s apart differ by 0.066 or more; an image differs
from itself by at most 0.021 after JPEG at quality 30, 0.017 at half size, and 0.014 with noise of 5 grey levels. In
images below about 150 pixels, each thumbnail pixel averages too few pixels to cancel strong compression. Crops, mirror
images and another gamma are not detected."""
_BANDS = 4  # of 16 bits each; copies that differ in up to 3 of the 64 bits share a band
_RECENT = 48  # comparisons per image and band, which keeps the work linear in the number of images


def thumbnail(image: Array) -> bytes:
    """Return a grey thumbnail, 32 x 32 bytes of mean 128 and deviation 40, of an image (H, W, C) of any number type.

    It is empty for an image with almost no contrast, as all such thumbnails would look alike.
    """
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) if image.shape[2] <= 4 else _by_planes(image)
    grey = small.reshape(SIDE, SIDE, -1).astype(np.float32).mean(axis=2)
    spread = float(grey.std())
    reach = 255.0 if image.dtype == np.uint8 else float(np.abs(grey).max())
    if spread <= 0.01 * reach:
        return b""
    normalized = (grey - grey.mean()) * (CONTRAST / spread) + 128
    return bytes(normalized.round().clip(0, 255).astype(np.uint8).tobytes())


def _by_planes(image: Array) -> Array:
    planes = [
        cv2.resize(np.ascontiguousarray(image[..., channel]), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        for channel in range(image.shape[2])
    ]
    return np.stack(planes, axis=2)


def distance(one: bytes, other: bytes) -> float:
    """Return the root mean square difference of two thumbnails in standard deviations: 0 equal, 1.4 unrelated."""
    difference = np.frombuffer(one, np.uint8).astype(np.float32) - np.frombuffer(other, np.uint8)
    return float(np.sqrt(np.mean(difference**2))) / CONTRAST


def signature(image: bytes) -> tuple[int, ...]:
    """Return bits for falling or rising brightness from left to right in a thumbnail, in bands of 16.

    Source: the difference hash of Krawetz, "Kind of like that" (2013), 9 x 8 grey pixels.
    """
    grey = np.frombuffer(image, np.uint8).reshape(SIDE, SIDE)
    small = cv2.resize(grey.astype(np.float32), (9, 8), interpolation=cv2.INTER_AREA)
    bits = np.packbits(small[:, 1:] > small[:, :-1])
    return tuple(int(band) for band in bits.view(np.uint16))[:_BANDS]


class CopyIndex:
    """Finds the earlier copies of an image, with constant work per image."""

    def __init__(self) -> None:
        self._bands: list[dict[int, list[int]]] = [{} for _ in range(_BANDS)]
        self._thumbnails: list[bytes] = []

    def add(self, image: bytes) -> list[int]:
        """Add a thumbnail, and return the indices of earlier images of which it is a copy.

        Indices count the added images from 0. Copies are compared with the original only: a copy does not become an
        original for later images.
        """
        number = len(self._thumbnails)
        self._thumbnails.append(image)
        bands = signature(image)
        candidates = {
            index for band, table in zip(bands, self._bands, strict=True) for index in table.get(band, ())[-_RECENT:]
        }
        copies = sorted(index for index in candidates if distance(image, self._thumbnails[index]) <= SAME)
        if not copies:
            for band, table in zip(bands, self._bands, strict=True):
                table.setdefault(band, []).append(number)
        return copies
