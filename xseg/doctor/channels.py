"""Means, deviations and ranges of the channels of many images, from sums that are added image by image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from xseg.data.sample import Array
from xseg.errors import DataError
from xseg.images.normalization import Normalization

_LEAST_DEVIATION = 1e-6  # of values scaled to 1; a constant channel cannot be divided by its deviation


@dataclass(frozen=True)
class ChannelStatistics:
    """Statistics of each channel over all pixels of a split.

    Args:
        mean: mean of each channel, for values scaled to 0 to 1.
        std: standard deviation of each channel, for values scaled to 0 to 1.
        low: smallest stored value of each channel.
        high: largest stored value of each channel.
        maximum: stored value that is scaled to 1: 255 for 8-bit images, 65535 for 16-bit ones, 1 for float images.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    maximum: float

    def normalization(self) -> Normalization:
        """Return the normalisation to mean 0 and deviation 1; a constant channel becomes 0."""
        return Normalization(self.mean, tuple(max(value, _LEAST_DEVIATION) for value in self.std), self.maximum)


@dataclass(frozen=True, slots=True, eq=False)
class ChannelSums:
    """Sums of stored values and of their squares over the pixels of images of one type, and the values' range.

    Arrays have one value per channel.
    """

    kind: str
    pixels: int
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, image: Array) -> Self:
        """Return the sums of an image (H, W, C)."""
        flat = image.reshape(-1, image.shape[2])
        if flat.dtype == np.uint8:
            return cls(str(image.dtype), len(flat), *_of_bytes(flat))
        wide = flat.astype(np.float64)
        sums, squares = wide.sum(axis=0), np.square(wide).sum(axis=0)
        return cls(str(image.dtype), len(flat), sums, squares, wide.min(axis=0), wide.max(axis=0))

    def added(self, other: ChannelSums) -> ChannelSums:
        """Return the sums over the images of both.

        Raises:
            DataError: if they have other bit depths or numbers of channels.
        """
        if other.kind != self.kind or len(other.sums) != len(self.sums):
            got = f"images of {self.kind} with {len(self.sums)} channels and of {other.kind} with {len(other.sums)}"
            raise DataError(got, expected="one type", remedy="run xseg data check to list them")
        return ChannelSums(
            self.kind,
            self.pixels + other.pixels,
            self.sums + other.sums,
            self.squares + other.squares,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    def statistics(self) -> ChannelStatistics:
        """Return the statistics of all images."""
        maximum = largest_value(self.kind)
        mean = self.sums / self.pixels
        variance = np.maximum(self.squares / self.pixels - mean**2, 0)
        return ChannelStatistics(
            mean=tuple((mean / maximum).tolist()),
            std=tuple((np.sqrt(variance) / maximum).tolist()),
            low=tuple(self.low.tolist()),
            high=tuple(self.high.tolist()),
            maximum=maximum,
        )


def largest_value(kind: str) -> float:
    """Return the stored value that stands for white: the largest of an integer type, 1 for floats."""
    return float(np.iinfo(kind).max) if kind in ("uint8", "uint16") else 1.0


def _of_bytes(flat: NDArray[np.uint8]) -> tuple[NDArray[np.float64], ...]:
    """Return sums, squares, lows and highs of bytes (pixels, channels) from their histograms."""
    values = np.arange(256, dtype=np.float64)
    histograms = np.stack([np.bincount(flat[:, channel], minlength=256) for channel in range(flat.shape[1])])
    met = histograms > 0
    low, high = met.argmax(axis=1), 255 - met[:, ::-1].argmax(axis=1)
    return histograms @ values, histograms @ values**2, low.astype(np.float64), high.astype(np.float64)
