"""Text files and tables of a data set, such as those with the images of a split."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xseg.data.layout import FileOptions
from xseg.data.patterns import SPLIT, contents, find_files
from xseg.data.sample import Record
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
            line, separated by a tab, a comma or a space. Table (.csv, .tsv): a header and one row per image; an empty
            cell stands for an image without label.
        files: options with the columns of a table.
    """

    root: Path
    list: str
    files: FileOptions

    def __call__(self, split: str) -> tuple[Record, ...]:
        """Return the records of a split, by its name in the data set."""
        path = self.root / self.list.replace(SPLIT, split)
        if self.files.valid_column and not _is_table(path):
            raise DataError(f"valid_column={self.files.valid_column!r} with {path}", expected="a table (.csv, .tsv)")
        rows = self._rows(path, split) if _is_table(path) else [_pair(path, line) for line in lines_of(path)]
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
        path = self.root / self.list
        return SPLIT in self.list or (_is_table(path) and self.files.split_column in read_table(path, _LIST)[0])

    def _rows(self, path: Path, split: str) -> Sequence[tuple[str, ...]]:
        header, rows = read_table(path, _LIST)
        named = (self.files.image_column, self.files.mask_column, self.files.valid_column)
        columns = [column for column in named if column]
        missing = [column for column in columns if column not in header]
        if missing:
            got = f"{path} has no column {', '.join(missing)}, only {', '.join(header)}"
            remedy = "set layout.files.image_column, mask_column and valid_column"
            raise DataError(got, expected="a column of images and one of masks", remedy=remedy)
        if SPLIT not in self.list and self.files.split_column in header:
            rows = [row for row in rows if row.get(self.files.split_column) == split]
        return [tuple(row.get(column, "") for column in columns) for row in rows]


def read_text(path: Path) -> str:
    """Return the content of a text file in UTF-8.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error})", expected="UTF-8 text") from error


def lines_of(path: Path, expected: str = _LIST) -> list[str]:
    """Return the stripped lines of a text file without empty lines and comments (#).

    Args:
        path: path of the file.
        expected: expected content of the file, for the error.

    Raises:
        DataError: if the file is missing, cannot be read, or has no such line.
    """
    return [line.strip() for line in _lines(path, expected)]


def _lines(path: Path, expected: str) -> list[str]:
    if not is_file(path):
        near = contents(path.parent) if path.parent.is_dir() else "nothing"
        raise DataError(f"{path} does not exist", expected=expected, remedy=f"its folder holds {near}")
    lines = [line for line in read_text(path).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise DataError(f"{path} is empty", expected=expected)
    return lines


def read_table(path: Path, expected: str) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and rows of a table, .csv or .tsv, with stripped names and cells; a short row lacks cells.

    Raises:
        DataError: as `lines_of`.
    """
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    header, *rows = csv.reader(_lines(path, expected), delimiter=delimiter, skipinitialspace=True)
    columns = [column.strip() for column in header]
    return columns, [dict(zip(columns, map(str.strip, row), strict=False)) for row in rows]


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv")


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
        got = f"{len(missing)} of {total} files listed in {path} are missing: {shown}"
        raise DataError(got, expected=f"files in {place}", remedy="add the files or remove them from the list")


def _pair(path: Path, line: str) -> tuple[str, str]:
    separator = next((sign for sign in ("\t", ",") if sign in line), None)
    parts = [part.strip() for part in line.split(separator)]
    if len(parts) != 2:
        expected = "an image and its mask, separated by a space, a comma or a tab"
        raise DataError(f"{path} has the line {line!r}", expected=expected, remedy="use tabs if paths contain spaces")
    return parts[0], parts[1]
