"""Normalisation of stored pixel values to network input; stored with the weights in the bundle."""

from __future__ import annotations

from dataclasses import dataclass

from xseg.errors import ConfigError
from xseg.types import Channels


@dataclass(frozen=True)
class Normalization:
    """Scale stored values to [0, 1], then subtract the mean and divide by the standard deviation.

    Args:
        mean: mean of each channel, for values scaled to [0, 1].
        std: standard deviation of each channel, for values scaled to [0, 1]; above 0.
        maximum: stored value that is scaled to 1: 255 for 8-bit images, 65535 for 16-bit ones, 1 for float images.
        bands: bands of a file that are the channels, counted from 1; empty for all, in colour or in grey.

    The default is that of the Xceptions, x / 127.5 - 1 for 8-bit RGB (Keras `preprocess_input` mode "tf"; TF DeepLab
    `feature_extractor._preprocess_zero_mean_unit_range`).

    Raises:
        ConfigError: if the lengths differ, or a scale is not positive.
    """

    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    maximum: float = 255.0
    bands: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(float(value) for value in self.std))
        object.__setattr__(self, "bands", tuple(self.bands))
        if len(self.mean) != len(self.std) or not self.mean or len(self.bands) not in (0, len(self.mean)):
            got = f"{len(self.mean)} means, {len(self.std)} standard deviations and {len(self.bands)} bands"
            raise ConfigError(got, expected="one of each per input channel")
        if min(self.std) <= 0 or self.maximum <= 0:
            got = f"std={self.std}, maximum={self.maximum}"
            raise ConfigError(got, expected="standard deviations and a maximum above 0")

    @property
    def channels(self) -> int:
        """Number of input channels."""
        return len(self.mean)

    @property
    def source(self) -> Channels:
        """Channels to read from a file: bands, or a number."""
        return self.bands or self.channels

    @classmethod
    def for_channels(cls, channels: int, maximum: float = 255.0) -> Normalization:
        """Return the Xceptions' normalisation to [-1, 1] for images with `channels` channels."""
        return cls((0.5,) * channels, (0.5,) * channels, maximum)
