"""Files by name from folders and globs with placeholders."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from xseg.data.sample import Record
from xseg.errors import DataError
from xseg.images.reading import IMAGE_SUFFIXES

_SHOWN = 3  # names in a message
NAME, CLASS, SPLIT = "{name}", "{class}", "{split}"


@dataclass(frozen=True)
class FolderListing:
    """Listing of images and masks in folders.

    Args:
        root: folder of the data set.
        images: folder or glob of the images below root, with {split} and {name}.
        masks: folder or glob of the masks below root; {class} stands for the class name.
        classes: class names, if each class has its own file; empty otherwise.
        optional: splits whose images need no mask, such as a test split without public labels.
        valid: folder or glob of the masks of valid regions, if they are in the folder of the images.
    """

    root: Path
    images: str
    masks: str
    classes: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    valid: str = ""

    def __call__(self, split: str) -> tuple[Record, ...]:
        """Return the records of a split, by its name in the data set."""
        images = self.find_images(split)
        parts = self.find_parts(split, required=split not in self.optional)
        alone = [name for name in images if not any(name in files for files in parts)]
        if alone and split not in self.optional:
            taken = {*images.values(), *(path for files in parts for path in files.values())}
            similar = [path.name for path in self.similar_masks(split, alone[:_SHOWN], taken).values()]
            raise DataError(
                f"{len(alone)} of {len(images)} images of the {split} split have no mask: "
                + _first([images[name] for name in alone]),
                expected=f"a mask of the same name in {self.root / self.masks.replace(SPLIT, split)}",
                remedy="add the masks or remove the images" + (f"; or rename {', '.join(similar)}" if similar else ""),
            )
        return tuple(self._record(name, path, parts) for name, path in images.items())

    def _record(self, name: str, image: Path, parts: list[dict[str, Path]]) -> Record:
        files = tuple(found.get(name) for found in parts)
        first = next((file for file in files if file is not None), None)
        return Record(name, image, first, files if self.classes and first is not None else ())

    def find_images(self, split: str) -> dict[str, Path]:
        """Return the images of a split by name, without the masks beside them.

        Raises:
            DataError: if there are none, or two have the same name.
        """
        pattern, *others = (text.replace(SPLIT, split) for text in (self.images, self.masks, self.valid) if text)
        beside = [other for other in others if split_pattern(other)[0] == split_pattern(pattern)[0]]
        masks = [
            find_files(self.root, other.replace(CLASS, name), split, required=False)
            for other in beside
            for name in self.classes or ("",)
        ]
        return without_masks(find_files(self.root, pattern, split), masks)

    def find_parts(self, split: str, *, required: bool = True) -> list[dict[str, Path]]:
        """Return the masks of a split by name, in one dictionary or one per class.

        Raises:
            DataError: if required masks are missing, or two have the same name.
        """
        pattern = self.masks.replace(SPLIT, split)
        if not self.classes:
            return [find_files(self.root, pattern, split, required=required)]
        found = [find_files(self.root, pattern.replace(CLASS, name), split, required=False) for name in self.classes]
        if required and not any(found):
            got = f"{self.root / pattern} matches no mask of the classes {', '.join(self.classes[:8])}"
            raise DataError(got, expected="one file per image and class", remedy="check masks and classes")
        return found

    def similar_masks(self, split: str, names: Iterable[str], taken: Collection[Path]) -> dict[str, Path]:
        """Return the mask file with the most similar name for images without a mask.

        Args:
            split: name of the split in the data set.
            names: names of images without a mask.
            taken: images, and masks with an image.
        """
        folder, glob = split_pattern(self.masks.replace(SPLIT, split))
        free: dict[tuple[str, ...], list[Path]] = defaultdict(list)
        for path in sorted((self.root / folder).rglob("*")):
            if path.suffix.lower() in IMAGE_SUFFIXES and path not in taken:
                free[_numbers(path.stem)].append(path)
        found: dict[str, Path] = {}
        for name in names if free else ():
            last = Path(name).name
            expected = Path(glob.replace(NAME, last)).stem if NAME in glob else last
            numbers = _numbers(expected)
            candidates = {_letters(path.stem): path for path in free.get(numbers, ())}
            near = get_close_matches(_letters(expected), candidates, n=1)
            if near or (numbers and len(candidates) == 1):
                found[name] = candidates[near[0]] if near else next(iter(candidates.values()))
        return found


def without_masks(images: dict[str, Path], masks: Iterable[dict[str, Path]]) -> dict[str, Path]:
    """Return the images by name, without files that are masks of other images: a_mask.png beside a.png."""
    taken = {path for files in masks for name, path in files.items() if images.get(name, path) != path}
    return {name: path for name, path in images.items() if path not in taken}


def with_valid(root: Path, pattern: str, records: Sequence[Record], split: str) -> tuple[Record, ...]:
    """Return the records of a split with the masks of their valid regions.

    Args:
        root: folder of the data set.
        pattern: folder or glob of the masks below root, found by the name of the record or its last part; or one file.
        records: records of the split.
        split: name of the split in the data set.

    Raises:
        DataError: if a record has none.
    """
    place = root / pattern.replace(SPLIT, split)
    if place.is_file():
        return tuple(replace(record, valid=place) for record in records)
    files = find_files(root, pattern.replace(SPLIT, split), split)
    names = [record.name for record in records]
    last = [name.rpartition("/")[2] for name in names]
    if len(set(last)) == len(last) and not any(name in files for name in names):
        names = last
    alone = [record.image for name, record in zip(names, records, strict=True) if name not in files]
    if alone:
        got = f"{len(alone)} of {len(records)} images of the {split} split have no mask of the valid region"
        remedy = "add the files or change layout.files.valid"
        raise DataError(f"{got}: {_first(alone)}", expected=f"a file of the same name in {place}", remedy=remedy)
    return tuple(replace(record, valid=files[name]) for name, record in zip(names, records, strict=True))


def find_files(
    root: Path, pattern: str, split: str, *, required: bool = True, suffixes: frozenset[str] = IMAGE_SUFFIXES
) -> dict[str, Path]:
    """Return the image files of a folder or glob by name, sorted.

    The name is the path relative to the first folder of the pattern, without suffix; or the text for {name}, after the
    folders that match wildcards. Names must be unique: a.jpg and a.png would be two images with one mask.

    Args:
        root: folder of the data set.
        pattern: folder or glob below root.
        split: name of the split in error messages.
        required: whether no match is an error.
        suffixes: suffixes of the files, in lower case.

    Raises:
        DataError: if the folder is missing or nothing matches, or two files have the same name.
    """
    folder, glob = split_pattern(pattern)
    base = root / folder
    if not base.is_dir():
        if not required:
            return {}
        got = f"{base} does not exist or is not a folder"
        expected = f"files of the {split} split in it" if split else "files of the data set in it"
        raise DataError(got, expected=expected, remedy=f"{root} holds {contents(root)}")
    found: dict[str, Path] = {}
    for path in sorted(base.glob(glob.replace(NAME, "*"))):
        below = path.relative_to(base)
        hidden = any(part.startswith(".") for part in below.parts)  # .ipynb_checkpoints
        if path.suffix.lower() not in suffixes or hidden or not path.is_file():
            continue
        name = name_in(below, glob)
        if name in found:
            raise DataError(f"{found[name]} and {path} have the same name", expected="one file per name")
        found[name] = path
    if not found and required:
        raise DataError(f"{base / glob} matches no image", expected=f"files of the {split} split")
    return dict(sorted(found.items()))


def split_pattern(pattern: str) -> tuple[Path, str]:
    """Return the first folder of a pattern and the glob below it; a folder without glob means all its files."""
    parts = Path(pattern).parts
    first = next((index for index, part in enumerate(parts) if any(sign in part for sign in "*?[{")), len(parts))
    return Path(*parts[:first]), "/".join(parts[first:]) or "**/*"


def contents(folder: Path) -> str:
    """Return the first names in a folder, for a message."""
    names = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


def _first(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths[:_SHOWN])) + (", ..." if len(paths) > _SHOWN else "")


def _numbers(name: str) -> tuple[str, ...]:
    """Return the numbers in a name, without leading zeros; files with different numbers do not match."""
    return tuple(digits.lstrip("0") for digits in re.findall(r"\d+", name))


def _letters(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalpha())


def name_in(path: Path, glob: str) -> str:
    """Return the name of a file that matches a glob; both are relative to the folder of the pattern."""
    named = _name_expression(glob)
    match = None if named is None else named.fullmatch(path.as_posix())
    return path.with_suffix("").as_posix() if match is None else "".join(match.groups(""))


@lru_cache(maxsize=64)
def _name_expression(glob: str) -> re.Pattern[str] | None:
    """Return the expression that finds the folders matching wildcards, and {name}, in a path; None without {name}."""
    before, found, behind = glob.partition(NAME)
    if not found:
        return None
    *folders, start = before.split("/")
    above = "".join(_folder_expression(folder) for folder in folders)
    return re.compile(f"{above}{_expression(start)}([^/]+){_expression(behind)}")


def _folder_expression(folder: str) -> str:
    """Return the regular expression of a folder in a glob, as a group if it has a wildcard."""
    if folder == "**":
        return "((?:[^/]+/)*)"
    return f"({_expression(folder)}/)" if set(folder) & set("*?[") else f"{_expression(folder)}/"


def _expression(glob: str) -> str:
    """Return the regular expression of a glob without **."""
    signs = {"*": "[^/]*", "?": "[^/]"}
    found = []
    for part in re.split(r"(\[[^\]]+\]|[*?])", glob):
        if len(part) > 2 and part.startswith("["):
            found.append(f"[^{part[2:]}" if part.startswith("[!") else part)
        else:
            found.append(signs.get(part) or re.escape(part))
    return "".join(found)
