"""Which data set is read and how its samples are made, as plain values. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from xseg.data.layout import READER_NAMES, LayoutOptions, ReaderName
from xseg.errors import ConfigError

Augmentation: TypeAlias = Literal["paper", "strong", "aerial", "medical"]
Sampling: TypeAlias = Literal["uniform", "class_aware"]
Cache: TypeAlias = Literal["none", "memory", "disk"]
NormalizationName: TypeAlias = Literal["fixed", "auto"]
CHOICES: dict[str, tuple[str, ...]] = {
    "augmentation": get_args(Augmentation),
    "sampling": get_args(Sampling),
    "cache": get_args(Cache),
    "normalization": get_args(NormalizationName),
}


@dataclass(frozen=True)
class DataOptions:
    """Which data set is read and how its samples are made.

    Args:
        reader: the data set's layout; docs/data.md shows the files that each expects.
        layout: where the files are and what the masks mean, as far as the reader leaves it open.
        root: the data set's folder; not used where nothing is read from files.
        batch_size: training images per step and per device, 1 or more. Validation uses it too if all images of the
            split have the same size, and 1 otherwise.
        workers: processes per loader that read and augment, 0 or more; 0 reads in the main process. The samples do
            not depend on it.
        crop: height and width in pixels of a training crop.
        scale: lowest and highest factor by which a training image is resized before it is cropped; above 0.
        scale_step: distance between the factors that may be drawn; 0 draws from the whole interval, 0.25 is TF
            DeepLab's.
        flip: probability of mirroring a training image left to right, 0 to 1.
        jitter: strength of random changes of brightness, contrast and (for colour images) saturation and hue of a
            training image, 0 to 1; 0 is off.
        augmentation: what else happens to a training image. "paper" nothing: DeepLab's resizing, cropping and
            mirroring; "strong" small rotations, colours, blur and noise; "aerial" quarter turns and mirroring both
            ways; "medical" rotations, bending, brightness, contrast and gamma.
        transforms: further changes of training images, in this order: for each the `name` of a transform of
            albumentations and its arguments, as {name: GaussianBlur, blur_limit: [3, 5], p: 0.2}.
        sampling: which training images an epoch visits. "uniform" each once; "class_aware" images with rare classes
            several times in place of others, and half of the crops around a pixel of a class, the rare ones first.
        rare_crops: "class_aware" only: share of the crops that lie around a pixel of a drawn class, 0 to 1.
        cache: keep decoded images. "memory" reads a split once before work begins (they are shared by the workers
            where processes are forked, as on Linux), "disk" keeps them in files that later runs find; true is
            "memory".
        cache_folder: where "disk" keeps them; empty for the folder XSEG_CACHE or one of the user's cache.
        normalization: "fixed" is the Xceptions' own, to -1 to 1; "auto" the mean and standard deviation of each
            channel of the training images, measured once and kept.
        check: look at every pair of files before work begins: sizes agree, and every mask value has a meaning.
        channels: channels of an image, 1 or more. 3 turns any image into RGB; another number must be what the files
            have (1 turns any image into grey).

    Raises:
        ConfigError: if a value is out of range.
    """

    reader: ReaderName = "camvid"
    root: str = ""
    batch_size: int = 8
    workers: int = 2
    crop: tuple[int, int] = (320, 320)
    scale: tuple[float, float] = (0.5, 2.0)
    scale_step: float = 0.0
    flip: float = 0.5
    jitter: float = 0.0
    augmentation: Augmentation = "paper"
    transforms: tuple[dict[str, Any], ...] = ()
    sampling: Sampling = "uniform"
    rare_crops: float = 0.5
    cache: Cache | bool = "none"
    cache_folder: str = ""
    normalization: NormalizationName = "fixed"
    check: bool = True
    channels: int = 3
    layout: LayoutOptions = field(default_factory=LayoutOptions)

    def __post_init__(self) -> None:
        if self.reader not in READER_NAMES:
            raise ConfigError(f"reader={self.reader!r}", expected=f"one of {', '.join(READER_NAMES)}")
        for name in ("crop", "scale"):
            value = tuple(getattr(self, name))
            object.__setattr__(self, name, value)
            if len(value) != 2:
                raise ConfigError(f"{name}={value}", expected="2 numbers")
        if isinstance(self.cache, bool):
            object.__setattr__(self, "cache", "memory" if self.cache else "none")
        object.__setattr__(self, "transforms", tuple(self.transforms))
        self._validate_choices()
        self._validate_ranges()

    def _validate_choices(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name}={getattr(self, name)!r}", expected=f"one of {', '.join(choices)}")

    def _validate_ranges(self) -> None:
        least: dict[str, tuple[float, ...]] = {
            "batch_size": (1, self.batch_size),
            "workers": (0, self.workers),
            "crop": (1, *self.crop),
            "channels": (1, self.channels),
            "scale_step": (0, self.scale_step),
        }
        for name, (lowest, *values) in least.items():
            if min(values) < lowest:
                raise ConfigError(f"{name}={getattr(self, name)}", expected=f"{lowest} or more")
        for name in ("flip", "jitter", "rare_crops"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)}", expected="0 to 1")
        low, high = self.scale
        if not 0 < low <= high:
            raise ConfigError(f"scale={self.scale}", expected="two factors above 0, the lower first")
