"""Text files and tables with the images of a split."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xseg.data.patterns import SPLIT, contents, find_files
from xseg.data.sample import Record
from xseg.data.text_files import read_lines, read_table
from xseg.errors import DataError
from xseg.images.reading import IMAGE_SUFFIXES

_LIST = "a list of images"
_SHOWN = 3  # names in a message


@dataclass(frozen=True)
class NamedFiles:
    """Listing of images and masks by the names in a text file, as in PASCAL VOC's ImageSets.

    Args:
        root: folder of the data set.
        list: text file below root with one name per line; its name contains {split}.
        images: folder or pattern of the images below root.
        masks: folder or pattern of the masks below root.
        columns: whether lines have further columns after the name, separated by a space; names in quotes may contain
            spaces.
        mask_suffixes: suffixes of the mask files.
    """

    root: Path
    list: str
    images: str
    masks: str
    columns: bool = False
    mask_suffixes: frozenset[str] = IMAGE_SUFFIXES

    def __call__(self, split: str) -> tuple[Record, ...]:
        """Return the records in the list of a split."""
        path = self.root / self.list.replace(SPLIT, split)
        names = [self._name(line) for line in lines_of(path)]
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise DataError(f"{path} lists {', '.join(twice[:_SHOWN])} more than once", expected="each name once")
        images = find_files(self.root, self.images.replace(SPLIT, split), split)
        masks = find_files(self.root, self.masks.replace(SPLIT, split), split, suffixes=self.mask_suffixes)
        for pattern, files in ((self.images, images), (self.masks, masks)):
            require_files([name for name in names if name not in files], len(names), path, self.root / pattern)
        return tuple(Record(name, images[name], masks[name]) for name in names)

    def _name(self, line: str) -> str:
        if line.startswith('"') and '"' in line[1:]:
            return line[1 : line.index('"', 1)]
        if not self.columns:
            return line
        first = line.split()[0]
        # DeepLab's VOC lists contain paths: /JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png
        return Path(first).stem if "/" in first else first


@dataclass(frozen=True)
class ListedPairs:
    """Listing of images and masks by the paths in a text file or table.

    Args:
        root: folder of the data set, to which paths are relative unless they are absolute.
        list: file below root, with {split} in its name if each split has its own. Text: an image and its mask per
            line, separated by a tab, a comma or a space. Table (.csv, .tsv): a header and one row per image.
        image_column: column of the images in the table.
        mask_column: column of the masks in the table; an empty cell stands for an image without label.
        split_column: column of the split names in the table, if it holds all splits.
        valid_column: column of the masks of the valid region in the table; empty for none.
    """

    root: Path
    list: str
    image_column: str
    mask_column: str
    split_column: str
    valid_column: str = ""

    def __call__(self, split: str) -> tuple[Record, ...]:
        """Return the records of a split, by its name in the data set."""
        path = self.root / self.list.replace(SPLIT, split)
        table = path.suffix.lower() in (".csv", ".tsv")
        if self.valid_column and not table:
            raise DataError(f"valid_column={self.valid_column!r} with {path}", expected="a table (.csv, .tsv)")
        rows = self._rows(path, split) if table else [_pair(path, line) for line in lines_of(path)]
        if not rows:
            raise DataError(f"{path} lists no image of the {split} split", expected="at least one")
        files = [self.root / file for row in rows for file in row if file]
        require_files([str(file) for file in files if not is_file(file)], len(files), path, self.root)
        return tuple(
            Record(
                Path(image).with_suffix("").as_posix().lstrip("/"),
                self.root / image,
                self.root / mask if mask else None,
                valid=self.root / valid[0] if valid and valid[0] else None,
            )
            for image, mask, *valid in rows
        )

    def has_splits(self) -> bool:
        """Return whether the list itself assigns images to splits.

        Raises:
            DataError: if it cannot be read.
        """
        if SPLIT in self.list:
            return True
        path = self.root / self.list
        return path.suffix.lower() in (".csv", ".tsv") and self.split_column in _table(path)[0]

    def _rows(self, path: Path, split: str) -> Sequence[tuple[str, ...]]:
        header, rows = _table(path)
        columns = [column for column in (self.image_column, self.mask_column, self.valid_column) if column]
        missing = [column for column in columns if column not in header]
        if missing:
            raise DataError(
                f"{path} has no column {', '.join(missing)}, only {', '.join(header)}",
                expected="a column of images and one of masks",
                remedy="set layout.files.image_column, mask_column and valid_column",
            )
        chosen = SPLIT not in self.list and self.split_column in header
        return [
            tuple(row.get(column, "") for column in columns)
            for row in rows
            if not chosen or row.get(self.split_column) == split
        ]


def lines_of(path: Path) -> list[str]:
    """Return the stripped lines of a list, without empty lines and comments (#).

    Raises:
        DataError: if it is missing or empty.
    """
    _require_list(path)
    return [line.strip() for line in read_lines(path, _LIST)]


def _table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    _require_list(path)
    return read_table(path, _LIST)


def _require_list(path: Path) -> None:
    if not is_file(path):
        near = contents(path.parent) if path.parent.is_dir() else "nothing"
        raise DataError(f"{path} does not exist", expected=_LIST, remedy=f"its folder holds {near}")


def is_file(path: Path) -> bool:
    """Return whether a file exists; also False for names that no file can have, where `Path.is_file` raises."""
    return os.path.isfile(path)  # noqa: PTH113


def require_files(missing: Sequence[str], total: int, path: Path, place: Path) -> None:
    """Check that a list contains no missing files.

    Raises:
        DataError: if a file is missing.
    """
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        raise DataError(
            f"{len(missing)} of {total} files listed in {path} are missing: {shown}",
            expected=f"files in {place}",
            remedy="add the files or remove them from the list",
        )


def _pair(path: Path, line: str) -> tuple[str, str]:
    separator = next((sign for sign in ("\t", ",") if sign in line), None)
    parts = [part.strip() for part in line.split(separator)]
    if len(parts) != 2:
        raise DataError(
            f"{path} has the line {line!r}",
            expected="an image and its mask, separated by a space, a comma or a tab",
            remedy="use tabs if paths contain spaces",
        )
    return parts[0], parts[1]
