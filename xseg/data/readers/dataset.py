"""Reader for any map-style data set of (image, mask), such as a `torch.utils.data.Dataset`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from xseg.data.masks.numbers import as_numbers, check_values, count_values, to_train_ids
from xseg.data.sample import Array, Inspection, Reader, Record, Sample
from xseg.data.splits import SplitPlan
from xseg.errors import DataError, XsegError
from xseg.labels.label_map import LabelMap
from xseg.types import Split

IMAGE_TYPES = (np.uint8, np.uint16, np.float32)


class PairDataset(Protocol):
    """A map-style data set of images (H, W, C) and masks (H, W) as arrays, tensors or PIL images."""

    def __len__(self) -> int:
        """Return the number of pairs."""

    def __getitem__(self, index: int, /) -> tuple[Any, Any]:
        """Return the pair with this index, always the same."""


Remake: TypeAlias = tuple[Callable[..., Reader], tuple[Any, ...]]


class DatasetReader:
    """Reads pairs from one data set per split.

    Args:
        datasets: data set of each split ("train", "val", "test"), or function of the name of a split.
        classes: class names, or label map of the mask numbers.
        channels: number of image channels.
        splits: names of the splits in the data set, or their division.
        name: name of the data set in error messages.
        remake: function and arguments that create the reader in a worker process; None to copy it.
    """

    def __init__(
        self,
        datasets: Mapping[str, PairDataset] | Callable[[str], PairDataset],
        classes: Sequence[str] | LabelMap,
        *,
        channels: int = 3,
        splits: SplitPlan | None = None,
        name: str = "dataset",
        remake: Remake | None = None,
    ) -> None:
        self.labels = classes if isinstance(classes, LabelMap) else LabelMap(tuple(classes))
        self.channels, self.splits, self.name = channels, splits or SplitPlan(), name
        self._datasets, self._remake = datasets, remake
        self._made: dict[str, PairDataset] = {}

    def __reduce__(self) -> Remake:
        """Create the reader again in another process, or copy its arguments."""
        if self._remake is not None:
            return self._remake
        make = partial(DatasetReader, channels=self.channels, splits=self.splits, name=self.name)
        return make, (self._datasets, self.labels)

    def records(self, split: Split) -> tuple[Record, ...]:
        """Return the pairs of a split; their paths consist of split and index."""
        return self.splits.records(split, self._listing)

    def read(self, record: Record) -> Sample:
        """Return a pair as a sample."""
        image, mask = self._pair(record)
        name = self._name(record)
        pixels = checked_image(image, self.channels, name)
        return Sample(record.name, pixels, checked_mask(mask, pixels.shape[:2], self.labels, name))

    def inspect(self, record: Record) -> Inspection:
        """Return size and mask values of a pair."""
        image, mask = self._pair(record)
        name, bands = self._name(record), len(self.labels) if self.labels.overlapping else 0
        pixels, numbers = checked_image(image, self.channels, name), as_numbers(np.asarray(mask), name, bands)
        _check_size(pixels.shape[:2], numbers, name)
        if bands:
            to_train_ids(numbers, self.labels, f"of {name}")
        values = count_values(numbers)
        check_values(values, self.labels, name)
        return Inspection(pixels.shape[:2], values)

    def _pair(self, record: Record) -> tuple[Any, Any]:
        name = self._name(record)
        with blaming(name):
            pair: Any = self._dataset(record.image.parts[0])[int(record.name)]
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            what = f"{len(pair)} values" if isinstance(pair, list | tuple) else type(pair).__name__
            raise DataError(f"{name} is {what}", expected="an image and a mask")
        return pair[0], pair[1]

    def _listing(self, split: str) -> tuple[Record, ...]:
        names = [f"{index:08d}" for index in range(len(self._dataset(split)))]
        image, mask = Path(split, "image"), Path(split, "mask")
        return tuple(Record(name, image / name, mask / name) for name in names)

    def _dataset(self, split: str) -> PairDataset:
        if split not in self._made:
            sets = self._datasets
            if not callable(sets) and split not in sets:
                raise DataError(f"{self.name} has no split {split!r}", expected=f"one of {', '.join(sets)}")
            self._made[split] = sets(split) if callable(sets) else sets[split]
        made = self._made[split]
        if not hasattr(made, "__len__") or not hasattr(made, "__getitem__"):
            got = f"{self.name}, split {split}, is {type(made).__name__}"
            raise DataError(got, expected="a data set with a length and items")
        return made

    def _name(self, record: Record) -> str:
        return f"item {int(record.name)} of {self.name}, split {record.image.parts[0]},"


@contextmanager
def blaming(name: str) -> Iterator[None]:
    """Turn exceptions of the user's own code into one line with its name.

    Raises:
        DataError: for any exception except those of this package.
    """
    try:
        yield
    except XsegError:
        raise
    except Exception as error:
        raise DataError(f"{name} raised {type(error).__name__}: {error}") from error


def checked_image(image: Any, channels: int, name: str) -> Array:
    """Return an image as an array (H, W, channels) of uint8, uint16 or float32.

    Args:
        image: array, tensor on the CPU or PIL image; (H, W) for one channel.
        channels: expected number of channels.
        name: name in error messages.

    Raises:
        DataError: if it has another type, shape or number of channels.
    """
    pixels = np.asarray(image)
    if pixels.dtype not in IMAGE_TYPES:
        raise DataError(f"the image of {name} has {pixels.dtype} values", expected="uint8, uint16 or float32")
    if pixels.ndim == 2 and channels == 1:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] != channels or not pixels.size:
        first = pixels.ndim == 3 and pixels.shape[0] == channels
        got = f"the image of {name} has shape {pixels.shape}"
        expected = f"(height, width, {channels})"
        raise DataError(got, expected=expected, remedy="put the channels last, with permute(1, 2, 0)" if first else "")
    return np.ascontiguousarray(pixels)


def checked_mask(mask: Any, size: tuple[int, int], labels: LabelMap, name: str) -> Array:
    """Return a mask as train ids (H, W) of uint8 or uint16; (H, W, classes) for overlapping classes.

    Args:
        mask: array, tensor on the CPU or PIL image of integers.
        size: height and width of its image in pixels.
        labels: label map of the numbers.
        name: name in error messages.

    Raises:
        DataError: if it has another type, another size than its image, or an unknown value.
    """
    numbers = as_numbers(np.asarray(mask), name, len(labels) if labels.overlapping else 0)
    _check_size(size, numbers, name)
    return to_train_ids(numbers, labels, f"of {name}")


def _check_size(image: tuple[int, int], mask: Array, name: str) -> None:
    if mask.shape[:2] != image:
        got = f"the mask of {name} is {mask.shape[0]}x{mask.shape[1]} and its image {image[0]}x{image[1]}"
        raise DataError(got, expected="the same height and width")
