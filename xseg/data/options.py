"""Options for data sets and their samples. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from xseg.data.layout import READER_NAMES, LayoutOptions, ReaderName
from xseg.errors import ConfigError, did_you_mean
from xseg.files.objects import is_class_path
from xseg.types import Channels

Augmentation: TypeAlias = Literal["paper", "strong", "aerial", "medical"]
Sampling: TypeAlias = Literal["uniform", "class_aware"]
Cache: TypeAlias = Literal["auto", "none", "memory", "disk"]
NormalizationName: TypeAlias = Literal["fixed", "auto"]
ColorName: TypeAlias = Literal["red", "green", "blue", "grey"]
FileCheck: TypeAlias = Literal["auto", "pixels", "headers", "none"]
Fit: TypeAlias = Literal["crop", "stretch"]
Interpolation: TypeAlias = Literal["nearest", "linear", "cubic", "area"]
COLORS: dict[str, Channels] = {"red": (1,), "green": (2,), "blue": (3,), "grey": 1}
CHOICES: dict[str, tuple[str, ...]] = {
    "augmentation": get_args(Augmentation),
    "sampling": get_args(Sampling),
    "cache": get_args(Cache),
    "normalization": get_args(NormalizationName),
}


@dataclass(frozen=True)
class DataOptions:
    """Data set, and how its samples are made.

    Args:
        reader: layout of the data set; docs/data.md lists the files of each. Or the class path of a reader of your own,
            path/to/file.py:Name or package.module.Name.
        layout: files, splits and mask encoding, as far as the reader leaves them open.
        root: folder of the data set; unused by readers without files.
        batch_size: training images per step and device, 1 or more. Validation uses the same number if all images of
            the split have the same size, and 1 otherwise.
        workers: number of processes per loader that read and augment; 0 for the main process. Does not affect the
            samples.
        crop: height and width of a training crop in pixels.
        scale: smallest and largest factor by which a training image is resized before cropping; above 0.
        scale_step: step between possible scale factors; 0 for any factor in the interval, 0.25 in TF DeepLab.
        flip: probability of mirroring a training image left to right, 0 to 1.
        jitter: strength of random changes of brightness, contrast and (for colour images) saturation and hue of
            training images, 0 to 1; 0 for none.
        augmentation: preset of further augmentation. "paper": none, only DeepLab's resizing, cropping and mirroring;
            "strong": small rotations, colours, blur and noise; "aerial": quarter turns and vertical flips; "medical":
            rotations, elastic deformation, brightness, contrast and gamma.
        transforms: further transforms of training images, in order; each with the `name` of an albumentations
            transform and its arguments, as in {name: GaussianBlur, blur_limit: [3, 5], p: 0.2}. Or a class path: a
            transform of torchvision.transforms.v2, or a function (image, mask) -> (image, mask): {name: own.py:f}.
        sampling: order of training images. "uniform": each once per epoch; "class_aware": images with rare classes
            several times instead of others, and half of the crops around a pixel of a class, preferring rare ones.
        crops_per_image: number of visits of each training image per epoch, 1 or more, each with another augmentation: a
            small data set needs more than one.
        steps_per_epoch: number of batches per device and epoch, with as many visits of images as they need; 0 for the
            number that `crops_per_image` gives.
        rare_crops: share of crops around a pixel of a drawn class, 0 to 1, for "class_aware".
        cache: cache for decoded images. "memory" decodes a split before training (forked workers share it, as on
            Linux); "disk" stores files that later runs use again; "auto" is "memory" if it takes up to half of the free
            memory, else "none", as for readers of your own; true is "memory".
        cache_folder: folder for "disk"; empty for the folder XSEG_CACHE or the user's cache.
        normalization: "fixed" for the Xceptions' range -1 to 1; "auto" for mean and standard deviation of each channel
            of the training images, measured once and cached.
        check: whether to check all files before training: equal sizes, and known mask values.
        channels: number of image channels, 1 or more. 3 converts all images to RGB, 1 to grey; any other number must
            match the files. Or the bands to use, counted from 1 as in GDAL, as in [1] or [4, 3, 2]; or red, green, blue
            or grey. A model keeps them, and reads the same bands for prediction.

    Raises:
        ConfigError: if a value is out of range.
    """

    reader: ReaderName | str = "camvid"
    root: str = ""
    batch_size: int = 8
    workers: int = 2
    crop: tuple[int, int] = (320, 320)
    scale: tuple[float, float] = (0.5, 2.0)
    scale_step: float = 0.0
    flip: float = 0.5
    jitter: float = 0.0
    augmentation: Augmentation = "paper"
    transforms: tuple[Any, ...] = ()
    sampling: Sampling = "uniform"
    crops_per_image: int = 1
    steps_per_epoch: int = 0
    rare_crops: float = 0.5
    cache: Cache | bool = "auto"
    cache_folder: str = ""
    normalization: NormalizationName = "fixed"
    check: bool = True
    channels: int | ColorName | tuple[int, ...] = 3
    layout: LayoutOptions = field(default_factory=LayoutOptions)

    def __post_init__(self) -> None:
        self._validate_reader()
        for name in ("crop", "scale"):
            value = tuple(getattr(self, name))
            object.__setattr__(self, name, value)
            if len(value) != 2:
                raise ConfigError(f"{name}={value}", expected="2 numbers")
        if isinstance(self.channels, str) and self.channels not in COLORS:
            raise ConfigError(f"channels={self.channels!r}", expected=f"a number, bands, or {', '.join(COLORS)}")
        if not isinstance(self.channels, int):
            channels = COLORS[self.channels] if isinstance(self.channels, str) else tuple(self.channels)
            object.__setattr__(self, "channels", channels)
        if isinstance(self.cache, bool):
            object.__setattr__(self, "cache", "memory" if self.cache else "none")
        object.__setattr__(self, "transforms", tuple(self.transforms))
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name}={getattr(self, name)!r}", expected=f"one of {', '.join(choices)}")
        self._validate_ranges()

    @property
    def bands(self) -> tuple[int, ...]:
        """Bands of the files to use, counted from 1; empty for all."""
        return self.channels if isinstance(self.channels, tuple) else ()

    @property
    def channel_count(self) -> int:
        """Number of image channels."""
        return self.channels if isinstance(self.channels, int) else len(self.channels)

    def _validate_reader(self) -> None:
        own = is_class_path(self.reader)
        if self.reader not in READER_NAMES and not own:
            got = f"reader={self.reader!r}"
            expected = f"one of {', '.join(READER_NAMES)}, or the class path of your own"
            raise ConfigError(got, expected=expected, remedy=did_you_mean(self.reader, READER_NAMES))
        if self.layout.options and not own:
            got = f"layout.options with reader={self.reader!r}"
            raise ConfigError(got, expected="none: they are for a reader of your own")

    def _validate_ranges(self) -> None:
        least: dict[str, tuple[float, ...]] = {
            "batch_size": (1, self.batch_size),
            "workers": (0, self.workers),
            "crop": (1, *self.crop),
            "crops_per_image": (1, self.crops_per_image),
            "steps_per_epoch": (0, self.steps_per_epoch),
            "channels": (1, self.channel_count, *self.bands),
            "scale_step": (0, self.scale_step),
        }
        for name, (lowest, *values) in least.items():
            if min(values) < lowest:
                raise ConfigError(f"{name}={getattr(self, name)}", expected=f"{lowest} or more")
        for name in ("flip", "jitter", "rare_crops"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)}", expected="0 to 1")
        if self.steps_per_epoch and self.crops_per_image > 1:
            got = f"steps_per_epoch={self.steps_per_epoch} with crops_per_image={self.crops_per_image}"
            raise ConfigError(got, expected="one of them")
        low, high = self.scale
        if not 0 < low <= high:
            raise ConfigError(f"scale={self.scale}", expected="two factors above 0, the lower first")


@dataclass(frozen=True)
class ClassDataOptions:
    """Folders of classes, and how their images become batches.

    Args:
        root: folder with train/CLASS/IMAGE and val/CLASS/IMAGE, like ImageNet; or with train/CLASS/IMAGE or
            CLASS/IMAGE, of which a share is held out.
        val_share: share of each class that is held out for validation if there is no val folder.
        batch_size: images per step and device, 1 or more.
        workers: number of processes that read and augment, 0 or more; does not affect the samples.
        size: height and width of the classifier's input in pixels; 299 in the paper.
        fit: resizing for evaluation and prediction: "crop" resizes the short side and crops the centre, "stretch"
            resizes both sides.
        resize: short side in pixels before the centre crop; null for size / 0.875, as in Inception's evaluation.
        interpolation: interpolation for evaluation and prediction.
        scale: smallest and largest share of the image area in a training crop; above 0, at most 1.
        ratio: smallest and largest aspect ratio (width / height) of a training crop, before it is resized to a square.
        flip: probability of mirroring a training image left to right.
        cache: whether to keep decoded images in memory.
        check: check of all files before training: "pixels" decodes them, "headers" reads their headers; "auto" is
            "pixels" for up to 10,000 files.
        skip_broken: whether to leave out broken files, with a warning, instead of stopping.
        channels: number of image channels. 3 converts all images to RGB; any other number must match the files.

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
