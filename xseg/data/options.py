"""Which data set is read and how its samples are made, as plain values. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from xseg.errors import ConfigError
from xseg.types import RGB

ReaderName: TypeAlias = Literal["camvid", "folder", "scenes"]
READER_NAMES: tuple[ReaderName, ...] = get_args(ReaderName)


@dataclass(frozen=True)
class DataOptions:
    """Which data set is read and how its samples are made.

    Args:
        reader: the data set's layout. "camvid" is CamVid as SegNet published it (train/, trainannot/, ...); "folder"
            is folders of images and masks; "scenes" is generated streets that need no files.
        root: the data set's folder; not used by "scenes".
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
        cache: keep the decoded images of a split in memory. They are shared by the workers where processes are
            forked (Linux).
        check: look at every pair of files before work begins: sizes agree, and every mask value has a meaning.
        channels: channels of an image, 1 or more. 3 turns any image into RGB; another number must be what the files
            have (1 turns any image into grey).
        images: "folder" only: the folder or glob of a split's images below root; {split} stands for train, val, test.
        masks: "folder" only: the folder or glob of a split's masks below root. A mask belongs to the image of the
            same relative path, whatever the suffixes.
        classes: "folder" only: the names of the classes. Empty: they are read from labels.yaml or classes.txt in
            root.
        colors: "folder" only: a red, green, blue triple from 0 to 255 per class; empty for automatic colours.
        raw_ids: "folder" only: the mask value of each class; empty if it is the class's position in the list.
        ignored_raw_ids: "folder" only: mask values that count neither in training nor in scores, beside ignore_index.
        ignore_index: "folder" only: the mask value that means "ignore" by itself, outside the classes' positions.
        scene_size: "scenes" only: height and width in pixels of a scene, 32 or more.
        scene_counts: "scenes" only: number of scenes of the train, val and test splits.
        scene_seed: "scenes" only: which scenes are drawn, 0 or more; the same seed draws the same scenes.

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
    cache: bool = False
    check: bool = True
    channels: int = 3
    images: str = "{split}/images"
    masks: str = "{split}/masks"
    classes: tuple[str, ...] = ()
    colors: tuple[RGB, ...] = ()
    raw_ids: tuple[int, ...] = ()
    ignored_raw_ids: tuple[int, ...] = ()
    ignore_index: int = 255
    scene_size: tuple[int, int] = (128, 192)
    scene_counts: tuple[int, int, int] = (256, 64, 64)
    scene_seed: int = 0

    def __post_init__(self) -> None:
        if self.reader not in READER_NAMES:
            raise ConfigError(f"reader={self.reader!r}", expected=f"one of {', '.join(READER_NAMES)}")
        for name in ("crop", "scale", "classes", "raw_ids", "ignored_raw_ids", "scene_size", "scene_counts"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "colors", tuple(tuple(color) for color in self.colors))
        self._validate_lengths()
        self._validate_ranges()
        self._validate_folder()

    def _validate_lengths(self) -> None:
        lengths = {"crop": 2, "scale": 2, "scene_size": 2, "scene_counts": 3}
        for name, length in lengths.items():
            value = getattr(self, name)
            if len(value) != length:
                raise ConfigError(f"{name}={value}", expected=f"{length} numbers")

    def _validate_ranges(self) -> None:
        least: dict[str, tuple[float, ...]] = {
            "batch_size": (1, self.batch_size),
            "workers": (0, self.workers),
            "crop": (1, *self.crop),
            "channels": (1, self.channels),
            "scale_step": (0, self.scale_step),
            "scene_size": (32, *self.scene_size),
            "scene_counts": (1, *self.scene_counts),
            "scene_seed": (0, self.scene_seed),
        }
        for name, (lowest, *values) in least.items():
            if min(values) < lowest:
                raise ConfigError(f"{name}={getattr(self, name)}", expected=f"{lowest} or more")
        for name in ("flip", "jitter"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)}", expected="0 to 1")
        for name in ("raw_ids", "ignored_raw_ids", "ignore_index"):
            values = getattr(self, name)
            if any(not 0 <= value <= 65_535 for value in (values if isinstance(values, tuple) else (values,))):
                raise ConfigError(f"{name}={values}", expected="values that a mask can hold, 0 to 65535")
        low, high = self.scale
        if not 0 < low <= high:
            raise ConfigError(f"scale={self.scale}", expected="two factors above 0, the lower first")

    def _validate_folder(self) -> None:
        given = [name for name in ("colors", "raw_ids", "ignored_raw_ids") if getattr(self, name)]
        if given and not self.classes:
            raise ConfigError(f"{', '.join(given)} without classes", expected="the classes' names too")
        for name in ("images", "masks"):
            pattern = getattr(self, name)
            if "{split}" not in pattern:
                raise ConfigError(
                    f"{name}={pattern!r}",
                    expected="a folder or glob with {split} in it",
                    remedy=f"for example {{split}}/{name}",
                )
