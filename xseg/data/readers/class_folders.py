"""Folders of classes, for classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from xseg.data.options import ClassDataOptions
from xseg.data.pairs import root_folder
from xseg.data.patterns import contents
from xseg.data.sample import Record, Sample
from xseg.errors import DataError
from xseg.images.reading import IMAGE_SUFFIXES, read_image
from xseg.labels.label_map import NO_LABEL, LabelMap
from xseg.types import Split

Listing: TypeAlias = dict[str, list[Path]]


@dataclass(frozen=True)
class ClassFolders:
    """The images of a data set of classes.

    Args:
        root: folder of the data set.
        classes: sorted class names; the class of an image is an index into them.
        files: sorted images of each split, as (path relative to root, class).
        channels: number of channels of the images from `read`.
        held_out: whether the validation images were held out from the training folder.
    """

    root: Path
    classes: tuple[str, ...]
    files: Mapping[Split, tuple[tuple[str, int], ...]]
    channels: int = 3
    held_out: bool = False

    @property
    def labels(self) -> LabelMap:
        """Label map of the classes; no image is ignored."""
        return LabelMap(self.classes, ignore_index=NO_LABEL)

    def records(self, split: Split) -> tuple[Record, ...]:
        """Return the records of a split.

        Raises:
            DataError: if the split does not exist.
        """
        if split not in self.files:
            raise DataError(f"{self.root} has no {split} split", expected=f"one of {', '.join(self.files)}")
        return tuple(Record(name, self.root / name, None) for name, _ in self.files[split])

    def targets(self, split: Split) -> tuple[int, ...]:
        """Return the class of each image in a split, in the order of `records`."""
        return tuple(target for _, target in self.files[split])

    def read(self, record: Record) -> Sample:
        """Decode an image."""
        return Sample(record.name, read_image(record.image, self.channels), None)

    def without(self, names: Mapping[Split, Sequence[str]]) -> ClassFolders:
        """Return the data set without some images.

        Raises:
            DataError: if a class of the training split has no images left.
        """
        dropped = {split: set(left_out) for split, left_out in names.items()}
        files = {
            split: tuple(file for file in kept if file[0] not in dropped.get(split, ()))
            for split, kept in self.files.items()
        }
        present = {target for _, target in files["train"]}
        for target, name in enumerate(self.classes):
            if target not in present:
                got = f"all images of class {name!r} in {self.root} are broken"
                raise DataError(got, expected="at least one intact image")
        return replace(self, files=files)


def list_classes(options: ClassDataOptions, *, seed: int = 0) -> ClassFolders:
    """List the folders of a data set.

    Args:
        options: options with root, val_share and channels.
        seed: random seed for the held-out images, if there is no val folder.

    Raises:
        DataError: if root is missing or has fewer than two classes, a class has no image, or a validation class is
            missing in training.
    """
    root = root_folder(options.root)
    base = root / "train" if (root / "train").is_dir() else root
    if base == root and (root / "val").is_dir():
        raise DataError(f"{root} has val/ but no train/", expected="both, or only folders of classes")
    train = _list(base)
    if len(train) < 2:
        found = f"only {next(iter(train))!r}" if train else f"no folder in it ({contents(base)})"
        raise DataError(f"{base} has {found}", expected="one folder per class, for two classes or more")
    classes = tuple(sorted(train))
    listings: dict[Split, Listing] = {"train": train}
    held_out = not (root / "val").is_dir()
    if held_out:
        listings["train"], listings["val"] = _hold_out(train, options.val_share, seed)
    others: tuple[Split, ...] = ("val", "test") if base != root else ()
    for split in others:
        if (root / split).is_dir():
            listings[split] = _list(root / split)
            _require_known(root / split, listings[split], classes)
    files: dict[Split, tuple[tuple[str, int], ...]] = {}
    for part, folders in listings.items():
        listed = ((path, classes.index(name)) for name in sorted(folders) for path in folders[name])
        files[part] = tuple((file.relative_to(root).as_posix(), target) for file, target in listed)
    return ClassFolders(root, classes, files, options.channels, held_out)


def _list(base: Path) -> Listing:
    """Return the images of every class folder, ignoring other files."""
    listing: Listing = {}
    for folder in sorted(path for path in base.iterdir() if path.is_dir() and not path.name.startswith(".")):
        images = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        listing[folder.name] = sorted(path for path in images if not path.name.startswith(".") and path.is_file())
        if not listing[folder.name]:
            got = f"class folder {folder} holds no image ({contents(folder)})"
            raise DataError(got, expected="images such as .jpg or .png", remedy="add images, or remove the folder")
    return listing


def _hold_out(train: Listing, share: float, seed: int) -> tuple[Listing, Listing]:
    """Split every class at random, reproducibly for a seed."""
    kept, held = dict(train), dict(train)
    for number, (name, images) in enumerate(sorted(train.items())):
        if len(images) < 2:
            raise DataError(f"class {name!r} has one image, {images[0]}", expected="two or more, as one is held out")
        count = min(len(images) - 1, max(1, round(share * len(images))))
        places = np.random.default_rng((seed, number)).permutation(len(images))
        held[name] = [images[place] for place in sorted(places[:count])]
        kept[name] = [images[place] for place in sorted(places[count:])]
    return kept, held


def _require_known(folder: Path, found: Listing, classes: tuple[str, ...]) -> None:
    if not found:
        raise DataError(f"{folder} has no folder in it ({contents(folder)})", expected="one folder per class")
    unknown = sorted(set(found) - set(classes))
    if unknown:
        got = f"{folder} has the class {', '.join(map(repr, unknown[:4]))}, which is missing in training"
        expected = f"some of {', '.join(classes[:20])}"
        raise DataError(got, expected=expected, remedy="add training images of this class, or remove it")
