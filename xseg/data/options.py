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
FileCheck: TypeAlias = Literal["auto", "pixels", "headers", "none"]
Fit: TypeAlias = Literal["crop", "stretch"]
Interpolation: TypeAlias = Literal["nearest", "linear", "cubic", "area"]
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


@dataclass(frozen=True)
class ClassDataOptions:
    """Which folders of classes are read and how their images become batches.

    Args:
        root: holds train/CLASS/IMAGE and val/CLASS/IMAGE, as ImageNet is kept; or train/CLASS/IMAGE alone, or
            CLASS/IMAGE, of which a share is then held out.
        val_share: share of each class's images that is held out for validation where there is no val folder.
        batch_size: training images per step and per device, 1 or more; validation's too.
        workers: processes that read and augment, 0 or more; the samples do not depend on it.
        size: height and width in pixels of the classifier's input; 299 in the paper.
        fit: how an image gets that size when it is classified: "crop" resizes its short side and cuts the middle out,
            "stretch" resizes both sides.
        resize: short side in pixels before the middle is cut out; null for size / 0.875, as Inception's evaluation.
        interpolation: how pixels are resized when classified.
        scale: smallest and largest share of an image's area that a training crop covers; above 0, at most 1.
        ratio: smallest and largest width over height of a training crop, before it is resized to a square.
        flip: probability of mirroring a training image left to right.
        cache: keep the decoded images in memory.
        check: look at every file before work begins: "pixels" decodes it, "headers" reads its first bytes; "auto" is
            "pixels" for up to 10,000 files.
        skip_broken: leave out files that the look finds broken, rather than stopping; they are counted and named.
        channels: channels of an image. 3 turns any image into RGB; another number must be what the files have.

    Raises:
        ConfigError: if a value is out of range.
    """

    root: str = ""
    val_share: float = 0.2
    batch_size: int = 32
    workers: int = 2
    size: int = 299
    fit: Fit = "crop"
    resize: int | None = None
    interpolation: Interpolation = "linear"
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (0.75, 1.3333)
    flip: float = 0.5
    cache: bool = False
    check: FileCheck = "auto"
    skip_broken: bool = False
    channels: int = 3

    def __post_init__(self) -> None:
        for name in ("scale", "ratio"):
            low, high = tuple(getattr(self, name))
            object.__setattr__(self, name, (low, high))
            if not 0 < low <= high:
                raise ConfigError(f"{name}={(low, high)}", expected="two values above 0, the lower first")
        if self.scale[1] > 1:
            raise ConfigError(f"scale={self.scale}", expected="at most 1: the whole image")
        least = {"batch_size": 1, "workers": 0, "size": 33, "channels": 1, "resize": self.size}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ConfigError(f"{name}={value}", expected=f"{lowest} or more")
        if not 0 <= self.flip <= 1:
            raise ConfigError(f"flip={self.flip}", expected="0 to 1")
        if not 0 < self.val_share < 1:
            raise ConfigError(f"val_share={self.val_share}", expected="above 0 and below 1")
