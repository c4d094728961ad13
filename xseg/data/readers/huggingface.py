"""Data sets for the Hugging Face `datasets` library: on the Hub, saved to disk, or Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from xseg.data.label_files import classes_of
from xseg.data.layout import FileOptions, LabelOptions
from xseg.data.masks.binary import BinaryMasks, read_binary
from xseg.data.masks.colors import ColorMasks, read_colors
from xseg.data.masks.numbers import read_mask
from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader
from xseg.data.readers.folder import BINARY_CLASSES
from xseg.data.sample import Array, Record
from xseg.data.splits import SplitPlan
from xseg.errors import ConfigError, DataError, MissingExtraError
from xseg.labels.label_map import LabelMap

Table: TypeAlias = Any  # a datasets.Dataset with encoded image columns


@dataclass(frozen=True)
class Rows:
    """Listing, images and masks of the rows of a table.

    Args:
        source: folder, or id on the Hub.
        files: options with the columns.
        labels: label map of the mask numbers.
        options: label options with the mask encoding.
    """

    source: str
    files: FileOptions
    labels: LabelMap
    options: LabelOptions

    def __call__(self, split: str) -> tuple[Record, ...]:
        """Return the rows of a split; their paths consist of split and row number."""
        table = self._table(split)
        for column in (self.files.image_column, self.files.mask_column):
            if column not in table.column_names:
                got = f"{self.source} has no column {column!r}, only {', '.join(table.column_names)}"
                remedy = "set layout.files.image_column and layout.files.mask_column"
                raise DataError(got, expected="a column of images and one of masks", remedy=remedy)
        names = [f"{index:08d}" for index in range(len(table))]
        image, mask = Path(split, self.files.image_column), Path(split, self.files.mask_column)
        return tuple(Record(name, image / name, mask / name) for name in names)

    def image(self, record: Record) -> bytes | str:
        """Return the encoded image of a row, or its path."""
        return self._content(record, self.files.image_column)

    def numbers(self, record: Record) -> Array:
        """Return the numbers of the mask of a row."""
        name, content = str(record.mask), self._content(record, self.files.mask_column)
        if self.options.encoding == "color":
            masks = ColorMasks(self.labels, self.options.ignored_colors, self.options.tolerance)
            return masks.numbers(read_colors(content, name=name), name)
        if self.options.encoding == "binary":
            return BinaryMasks(self.labels).numbers(read_binary(content, self.options.tolerance, name=name))
        return read_mask(content, name=name)

    def _content(self, record: Record, column: str) -> bytes | str:
        """Return the encoded image of a cell, or the path of its file."""
        value = self._table(record.image.parts[0])[int(record.name)][column]
        if isinstance(value, bytes):
            return value
        if isinstance(value, dict) and value.get("bytes"):
            return bytes(value["bytes"])
        if isinstance(value, dict) and value.get("path"):
            return str(value["path"])
        raise DataError(f"{record.image} has {type(value).__name__} in its cell", expected="an encoded image")

    def _table(self, split: str) -> Table:
        return load_table(self.source, split, (self.files.image_column, self.files.mask_column))


def create(options: DataOptions) -> FileReader:
    """Return the reader for the table in root: a folder, or an id such as "owner/name" on the Hub."""
    if not options.root:
        raise ConfigError("root is not set", expected="a folder, or an id on the Hugging Face Hub")
    files, labels = options.layout.files, options.layout.labels
    if labels.encoding == "files":
        raise ConfigError("encoding='files' with reader='huggingface'", expected="one mask per image")
    root = Path(options.root)
    if labels.encoding == "binary" and not labels.classes and not labels.file:
        known = LabelMap(BINARY_CLASSES, ignore_index=labels.ignore_index)
    else:
        known = classes_of(root if root.is_dir() else Path(), labels)
    rows = Rows(options.root, files, known, labels)
    splits = SplitPlan.of(options.layout.splits, ("train", "validation", "test"))
    return FileReader(known, options.channel_count, rows, rows.numbers, splits, content=rows.image)


@lru_cache(maxsize=8)
def load_table(source: str, split: str, columns: tuple[str, ...]) -> Table:
    """Return a split of a data set, with encoded images in the given columns.

    No code of the data set is run: `datasets` reads only Parquet and Arrow files.

    Args:
        source: folder written by `save_to_disk`; folder of Parquet files whose names start with the split name, in it
            or in data/; or id on the Hub.
        split: name of the split in the data set.
        columns: columns of images and masks.

    Raises:
        DataError: if the split does not exist or cannot be read.
        MissingExtraError: if `datasets` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", extra="hf", purpose="reader 'huggingface'") from error
    table = _load(source, split)
    for column in columns:
        if isinstance(table.features.get(column), datasets.Image):
            table = table.cast_column(column, datasets.Image(decode=False))
    return table


def _load(source: str, split: str) -> Table:
    import datasets

    root = Path(source)
    try:
        if not root.is_dir():
            return datasets.load_dataset(source, split=split)
        if (root / "dataset_dict.json").is_file() or (root / "dataset_info.json").is_file():
            saved = datasets.load_from_disk(source)
            return saved[split] if isinstance(saved, datasets.DatasetDict) else saved
        files = sorted(str(path) for folder in (root, root / "data") for path in folder.glob(f"{split}*.parquet"))
        if not files:
            expected = "Parquet files, or a folder written by save_to_disk"
            raise DataError(f"{source} has no {split}*.parquet", expected=expected)
        return datasets.load_dataset("parquet", data_files=files, split="train")
    except DataError:
        raise
    except Exception as error:  # the library raises dozens of exceptions for network, files and format
        got = f"split {split!r} of {source} cannot be loaded ({type(error).__name__}: {error})"
        expected = "a folder, or an id on the Hugging Face Hub, with this split"
        raise DataError(got, expected=expected, remedy="check root and layout.splits") from error
