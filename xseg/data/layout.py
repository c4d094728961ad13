"""Options for the layout of a data set. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from xseg.errors import ConfigError
from xseg.types import RGB

ReaderName: TypeAlias = Literal[
    "ade20k", "camvid", "camvid32", "cityscapes", "coco", "cvat", "folder", "huggingface", "labelme", "list", "loveda",
    "pet", "potsdam", "scenes", "vaihingen", "voc",
]  # fmt: skip
READER_NAMES: tuple[ReaderName, ...] = get_args(ReaderName)

Encoding: TypeAlias = Literal["index", "binary", "color", "files", "bands"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)


@dataclass(frozen=True)
class FileOptions:
    """Locations of the files of a data set. Patterns are folders or globs below root.

    Args:
        images: pattern of the images; empty for the reader's own ("folder": {split}/images). {split} stands for the
            name of the split, {name} for the part of a file name that image and mask share.
        masks: pattern of the masks ("folder": {split}/masks). {class} stands for the class name if each class has its
            own file. Without {name}, a mask belongs to the image with the same relative path, whatever the suffixes.
        valid: pattern of masks of the valid region (a field of view, a nodata mask), for readers of files; or one file
            for all images. Pixels where it is 0 are ignored in training and scores. Empty for none.
        list: for "list", the text or CSV file below root with images and masks; for "coco", the JSON file of the
            variant "instances". {split} stands for the name of the split.
        image_column: column of the images, for "list" and "huggingface".
        mask_column: column of the masks, for "list" and "huggingface".
        valid_column: column of the masks of the valid region, for "list"; empty for none.
        split_column: column of the split names in a CSV for all splits, for "list".

    Raises:
        ConfigError: if a pattern has an unknown placeholder or the same one twice, or valid regions are given twice.
    """

    images: str = ""
    masks: str = ""
    valid: str = ""
    list: str = ""
    image_column: str = "image"
    mask_column: str = "mask"
    valid_column: str = ""
    split_column: str = "split"

    def __post_init__(self) -> None:
        allowed = {"images": ("{name}",), "masks": ("{name}", "{class}"), "valid": ("{name}",), "list": ()}
        for option, placeholders in allowed.items():
            pattern = getattr(self, option)
            rest = pattern.replace("{split}", "")
            for placeholder in placeholders:
                rest = rest.replace(placeholder, "", 1)
            if "{" in rest or "}" in rest:
                known = ", ".join(("{split}", *placeholders))
                raise ConfigError(f"{option}={pattern!r}", expected=f"only {known} in braces, each once")
        if self.valid and self.valid_column:
            raise ConfigError(f"valid={self.valid!r} with valid_column={self.valid_column!r}", expected="one of them")


@dataclass(frozen=True)
class SplitOptions:
    """Train, val and test splits of the data set.

    Args:
        train: name of the training split in the data set; empty for the reader's own ("voc": trainaug, with SBD).
        val: name of the validation split in the data set.
        test: name of the test split in the data set. If the test labels are not public, use the validation split.
        fractions: shares of train, val and test that add up to 1, into which the training split (or all files, if they
            name no split) is divided; empty for no division. A split named by val or test is not divided.
        group: regular expression; images with the same match in their names (of its first group, if any) stay in the
            same split: frames of a video, slices of a patient.
        seed: random seed of the division, 0 or more; the same seed and names give the same splits.
        folds: folds.csv of a cross-validation, which divides the images of train and val; empty for none.
        fold: number of the fold that is held out for validation, the first being 1.

    Raises:
        ConfigError: if a value is out of range.
    """

    train: str = ""
    val: str = ""
    test: str = ""
    fractions: tuple[float, ...] = ()
    group: str = ""
    seed: int = 0
    folds: str = ""
    fold: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "fractions", tuple(self.fractions))
        shares = self.fractions
        if shares and (len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6):
            raise ConfigError(f"fractions={shares}", expected="three shares of 0 or more that add up to 1")
        if self.seed < 0:
            raise ConfigError(f"splits: seed={self.seed}", expected="0 or more")
        if bool(self.folds) != (self.fold > 0):
            raise ConfigError(f"splits: folds={self.folds!r} with fold={self.fold}", expected="both or none of them")


@dataclass(frozen=True)
class LabelOptions:
    """Classes and mask encoding. Readers of known data sets have their own.

    Args:
        classes: class names; empty to read them from a file in root.
        file: file with the classes below root; empty for the first existing one of labels.yaml, classes.txt,
            label_colors.txt, class_dict.csv, labelmap.txt, labels.txt.
        colors: red, green and blue from 0 to 255 for each class; empty for the colours of the file or automatic ones.
        raw_ids: mask value of each class; empty for its position in the list.
        ignored_raw_ids: mask values ignored in training and scores, besides ignore_index.
        ignore_index: mask value that always means "ignore", outside the positions of the classes.
        encoding: encoding of classes in masks. "index": class numbers in a grey or palette image; "binary": black and
            white, 0 and 1 or 0 and 255, for two classes; "color": class colours, read from the training masks if
            neither options nor file list them; "files": one file per class, white where the class is; "bands": one
            band per class, 1 or white where the class is, and ignore_index.
        overlapping: whether a pixel may have several classes or none, for the task multilabel, with encoding "files" or
            "bands", or a reader of your own. Always true for "bands".
        tolerance: largest deviation of a colour channel, 0 to 127, for lossy files; larger deviations are errors. For
            "binary" and "files", the distance from black and white.
        ignored_colors: colours ignored in training and scores.
        background: class of the pixels that no shape and no class file covers; they are ignored if no class has this
            name. For shapes without a list of classes, it becomes the first class. Empty: ignored.

    Raises:
        ConfigError: if a value is out of range.
    """

    classes: tuple[str, ...] = ()
    file: str = ""
    colors: tuple[RGB, ...] = ()
    raw_ids: tuple[int, ...] = ()
    ignored_raw_ids: tuple[int, ...] = ()
    ignore_index: int = 255
    encoding: Encoding = "index"
    tolerance: int = 0
    ignored_colors: tuple[RGB, ...] = ()
    background: str = "background"
    overlapping: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "overlapping", self.overlapping or self.encoding == "bands")
        for name in ("classes", "raw_ids", "ignored_raw_ids"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("colors", "ignored_colors"):
            object.__setattr__(self, name, tuple(tuple(color) for color in getattr(self, name)))
        for name in ("raw_ids", "ignored_raw_ids", "ignore_index"):
            values = getattr(self, name)
            if any(not 0 <= value <= 65_535 for value in (values if isinstance(values, tuple) else (values,))):
                raise ConfigError(f"{name}={values}", expected="mask values from 0 to 65535")
        given = [name for name in ("colors", "raw_ids", "ignored_raw_ids") if getattr(self, name)]
        if given and not self.classes:
            raise ConfigError(f"{', '.join(given)} without classes", expected="classes too")
        if self.encoding not in ENCODINGS:
            raise ConfigError(f"encoding={self.encoding!r}", expected=f"one of {', '.join(ENCODINGS)}")
        if not 0 <= self.tolerance <= 127:
            raise ConfigError(f"tolerance={self.tolerance}", expected="0 to 127")


@dataclass(frozen=True)
class SceneOptions:
    """Generated scenes, for the reader "scenes".

    Args:
        size: height and width of a scene in pixels, 32 or more.
        counts: number of scenes in the train, val and test splits.
        seed: random seed of the scenes, 0 or more.

    Raises:
        ConfigError: if a value is out of range.
    """

    size: tuple[int, int] = (128, 192)
    counts: tuple[int, int, int] = (256, 64, 64)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, length, least in (("size", 2, 32), ("counts", 3, 1)):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if len(values) != length or min(values) < least:
                raise ConfigError(f"scenes: {name}={values}", expected=f"{length} numbers of {least} or more")
        if self.seed < 0:
            raise ConfigError(f"scenes: seed={self.seed}", expected="0 or more")


@dataclass(frozen=True)
class LayoutOptions:
    """Layout of the data set, as far as the reader leaves it open.

    Args:
        variant: version of the data set, if there are several (see docs/data.md); empty for the usual one.
        files: locations of the files.
        splits: train, val and test splits.
        labels: classes and mask encoding.
        scenes: generated scenes.
        options: options of a reader of your own: arguments of its class, by name.
    """

    variant: str = ""
    files: FileOptions = FileOptions()
    splits: SplitOptions = SplitOptions()
    labels: LabelOptions = LabelOptions()
    scenes: SceneOptions = SceneOptions()
    options: dict[str, Any] = field(default_factory=dict, hash=False)
