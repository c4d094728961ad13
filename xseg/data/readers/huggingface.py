"""Data sets for the Hugging Face `datasets` library: on the Hub, saved to disk, or Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from xseg.data.label_files import classes_of
from xseg.data.layout import LabelOptions
from xseg.data.masks.binary import BinaryMasks, read_binary
from xseg.data.masks.colors import ColorMasks, read_colors
from xseg.data.masks.numbers import check_values, count_values, read_mask, to_train_ids
from xseg.data.options import DataOptions
from xseg.data.readers.folder import BINARY_CLASSES
from xseg.data.sample import Array, Inspection, Record, Sample
from xseg.data.splits import SplitPlan
from xseg.errors import ConfigError, DataError, MissingExtraError
from xseg.images.reading import read_image
from xseg.labels.label_map import LabelMap
from xseg.types import Split

Table: TypeAlias = Any  # a datasets.Dataset with encoded image columns


@dataclass(frozen=True)
class HuggingFaceReader:
    """Reads the rows of a table with a column of images and one of masks.

    Args:
        source: folder, or id on the Hub.
        labels: label map of the mask numbers.
        channels: number of image channels.
        image_column: column of the images.
        mask_column: column of the masks.
        options: label options with the mask encoding.
        splits: train, val and test splits.
    """

    source: str
    labels: LabelMap
    channels: int
    image_column: str
    mask_column: str
    options: LabelOptions
    splits: SplitPlan

    def records(self, split: Split) -> tuple[Record, ...]:
        """Return the rows of a split; their paths consist of split and row number."""
        return self.splits.records(split, self._listing)

    def read(self, record: Record) -> Sample:
        """Decode a row."""
        row = self._row(record)
        image = read_image(_content(row[self.image_column], record), self.channels, name=str(record.image))
        mask = to_train_ids(self._numbers(row, record), self.labels, str(record.mask))
        if mask.shape != image.shape[:2]:
            sizes = f"{mask.shape[0]}x{mask.shape[1]} and its image {image.shape[0]}x{image.shape[1]}"
            raise DataError(f"mask {record.mask} is {sizes}", expected="the same height and width")
        return Sample(record.name, image, mask)

    def inspect(self, record: Record) -> Inspection:
        """Inspect the mask of a row without decoding the image."""
        numbers = self._numbers(self._row(record), record)
        values = count_values(numbers)
        check_values(values, self.labels, str(record.mask))
        return Inspection((numbers.shape[0], numbers.shape[1]), values)

    def _numbers(self, row: dict[str, Any], record: Record) -> Array:
        name = str(record.mask)
        content = _content(row[self.mask_column], record)
        if self.options.encoding == "color":
            masks = ColorMasks(self.labels, self.options.ignored_colors, self.options.tolerance)
            return masks.numbers(read_colors(content, name=name), name)
        if self.options.encoding == "binary":
            return BinaryMasks(self.labels).numbers(read_binary(content, self.options.tolerance, name=name))
        return read_mask(content, name=name)

    def _listing(self, split: str) -> tuple[Record, ...]:
        table = self._table(split)
        for column in (self.image_column, self.mask_column):
            if column not in table.column_names:
                raise DataError(
                    f"{self.source} has no column {column!r}, only {', '.join(table.column_names)}",
                    expected="a column of images and one of masks",
                    remedy="set layout.files.image_column and layout.files.mask_column",
                )
        names = [f"{index:08d}" for index in range(len(table))]
        image, mask = Path(split, self.image_column), Path(split, self.mask_column)
        return tuple(Record(name, image / name, mask / name) for name in names)

    def _row(self, record: Record) -> Any:
        return self._table(record.image.parts[0])[int(record.name)]

    def _table(self, split: str) -> Table:
        return load_table(self.source, split, (self.image_column, self.mask_column))


def create(options: DataOptions) -> HuggingFaceReader:
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
    return HuggingFaceReader(
        source=options.root,
        labels=known,
        channels=options.channel_count,
        image_column=files.image_column,
        mask_column=files.mask_column,
        options=labels,
        splits=SplitPlan.of(options.layout.splits, ("train", "validation", "test")),
    )


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
            raise DataError(
                f"{source} has no {split}*.parquet", expected="Parquet files, or a folder written by save_to_disk"
            )
        return datasets.load_dataset("parquet", data_files=files, split="train")
    except DataError:
        raise
    except Exception as error:  # the library raises dozens of exceptions for network, files and format
        raise DataError(
            f"split {split!r} of {source} cannot be loaded ({type(error).__name__}: {error})",
            expected="a folder, or an id on the Hugging Face Hub, with this split",
            remedy="check root and layout.splits",
        ) from error


def _content(value: Any, record: Record) -> bytes | str:
    """Return the encoded image of a cell, or the path of its file."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict) and value.get("bytes"):
        return bytes(value["bytes"])
    if isinstance(value, dict) and value.get("path"):
        return str(value["path"])
    raise DataError(f"{record.image} has {type(value).__name__} in its cell", expected="an encoded image")
