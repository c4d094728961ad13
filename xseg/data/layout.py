"""How a data set lies in its files: what a reader needs to know, as plain values. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from xseg.errors import ConfigError
from xseg.types import RGB

ReaderName: TypeAlias = Literal[
    "ade20k", "camvid", "camvid32", "cityscapes", "coco", "cvat", "folder", "huggingface", "labelme", "list", "loveda",
    "pet", "potsdam", "scenes", "vaihingen", "voc",
]  # fmt: skip
READER_NAMES: tuple[ReaderName, ...] = get_args(ReaderName)

Encoding: TypeAlias = Literal["index", "binary", "color", "files"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)


@dataclass(frozen=True)
class FileOptions:
    """Where the files of a data set are. Patterns are folders or globs below root.

    Args:
        images: the images' pattern; empty for the reader's own ("folder": {split}/images). {split} stands for the
            split's name, {name} for the part of a file's name that image and mask share.
        masks: the masks' pattern ("folder": {split}/masks), in which {class} stands for a class's name where each
            class has a file of its own. Without {name}, a mask belongs to the image of the same relative path,
            whatever the suffixes.
        list: "list": the file that lists images and masks below root, text or CSV; "coco": the JSON of the variant
            "instances". {split} stands for the split's name.
        image_column: "list" and "huggingface": the column of the images.
        mask_column: "list" and "huggingface": the column of the masks.
        split_column: "list": the column of the splits' names in a CSV for all of them.

    Raises:
        ConfigError: if a pattern holds a placeholder twice or an unknown one.
    """

    images: str = ""
    masks: str = ""
    list: str = ""
    image_column: str = "image"
    mask_column: str = "mask"
    split_column: str = "split"

    def __post_init__(self) -> None:
        allowed = {"images": ("{name}",), "masks": ("{name}", "{class}"), "list": ()}
        for field, placeholders in allowed.items():
            pattern = getattr(self, field)
            rest = pattern.replace("{split}", "")
            for placeholder in placeholders:
                rest = rest.replace(placeholder, "", 1)
            if "{" in rest or "}" in rest:
                known = ", ".join(("{split}", *placeholders))
                raise ConfigError(f"{field}={pattern!r}", expected=f"no other braces than {known}, each once")


@dataclass(frozen=True)
class SplitOptions:
    """Which part of the data set is train, which val and which test.

    Args:
        train: the data set's own name of what training uses; empty for the reader's ("voc": trainaug, with SBD).
        val: the same for validation.
        test: the same for the test. Where a data set keeps its test labels to itself, name the validation part.
        fractions: shares of train, val and test, which add up to 1, into which the training part (or all there is,
            where files name no split) is divided; empty where the data set is divided already. A part that val or
            test names by itself is left whole.
        group: a regular expression; images for whose names it finds the same text (its first group, if it has one)
            stay together when the data are divided: frames of a video, slices of a patient.
        seed: of the division, 0 or more; images keep their part for the same seed and the same names.

    Raises:
        ConfigError: if a value is out of range.
    """

    train: str = ""
    val: str = ""
    test: str = ""
    fractions: tuple[float, ...] = ()
    group: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "fractions", tuple(self.fractions))
        shares = self.fractions
        if shares and (len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6):
            raise ConfigError(f"fractions={shares}", expected="three shares of 0 or more that add up to 1")
        if self.seed < 0:
            raise ConfigError(f"splits: seed={self.seed}", expected="0 or more")


@dataclass(frozen=True)
class LabelOptions:
    """What the masks mean. Readers of a known data set know it themselves.

    Args:
        classes: the names of the classes. Empty: they are read from a file in root.
        file: the file of the classes below root; empty for the first that is there of labels.yaml, classes.txt,
            label_colors.txt, class_dict.csv, labelmap.txt, labels.txt.
        colors: a red, green, blue triple from 0 to 255 per class; empty for the file's or automatic colours.
        raw_ids: the mask value of each class; empty if it is the class's position in the list.
        ignored_raw_ids: mask values that count neither in training nor in scores, beside ignore_index.
        ignore_index: the mask value that means "ignore" by itself, outside the classes' positions.
        encoding: how a mask tells the class. "index": its number, in a grey or palette image; "binary": black or
            white, 0 and 1 or 0 and 255, for two classes; "color": its colour, in classes' colors, which are read from
            the training masks if neither options nor file name any; "files": a file per class, white where it is.
        tolerance: how far a channel of a colour may be off, 0 to 127, as lossy files make it; beyond, a mask is
            refused. "binary" and "files" take it as the distance from black and white.
        ignored_colors: colours that count neither in training nor in scores.
        background: the class of the pixels that no shape and no class's file covers. They are ignored if no class has
            this name; shapes without a list of classes get it as their first class. Empty: ignored.

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

    def __post_init__(self) -> None:
        for name in ("classes", "raw_ids", "ignored_raw_ids"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("colors", "ignored_colors"):
            object.__setattr__(self, name, tuple(tuple(color) for color in getattr(self, name)))
        for name in ("raw_ids", "ignored_raw_ids", "ignore_index"):
            values = getattr(self, name)
            if any(not 0 <= value <= 65_535 for value in (values if isinstance(values, tuple) else (values,))):
                raise ConfigError(f"{name}={values}", expected="values that a mask can hold, 0 to 65535")
        given = [name for name in ("colors", "raw_ids", "ignored_raw_ids") if getattr(self, name)]
        if given and not self.classes:
            raise ConfigError(f"{', '.join(given)} without classes", expected="the classes' names too")
        if self.encoding not in ENCODINGS:
            raise ConfigError(f"encoding={self.encoding!r}", expected=f"one of {', '.join(ENCODINGS)}")
        if not 0 <= self.tolerance <= 127:
            raise ConfigError(f"tolerance={self.tolerance}", expected="0 to 127")


@dataclass(frozen=True)
class SceneOptions:
    """Which scenes are generated, by the reader "scenes".

    Args:
        size: height and width in pixels of a scene, 32 or more.
        counts: number of scenes of the train, val and test splits.
        seed: which scenes are drawn, 0 or more; the same seed draws the same scenes.

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
    """How the data set lies in its files, as far as its reader leaves that open.

    Args:
        variant: which version of the data set, where there are several; docs/data.md lists them. Empty for the usual.
        files: where the files are.
        splits: which part is train, which val and which test.
        labels: what the masks mean.
        scenes: which scenes are generated.
    """

    variant: str = ""
    files: FileOptions = FileOptions()
    splits: SplitOptions = SplitOptions()
    labels: LabelOptions = LabelOptions()
    scenes: SceneOptions = SceneOptions()
