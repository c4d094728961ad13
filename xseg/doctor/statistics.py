"""Statistics of a data set: pixels and images per class, image sizes, and means and deviations of channels."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xseg.data.cache import cache_folder, file_stamp, reader_identity
from xseg.data.options import DataOptions
from xseg.data.sample import Reader, Record, Sample
from xseg.doctor.parallel import parallel_map
from xseg.errors import DataError
from xseg.files.atomic import write_text
from xseg.files.progress import NO_PROGRESS, Progress, ShowProgress
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.types import SPLITS, Split

_LEAST_DEVIATION = 1e-6  # of values scaled to 1; a constant channel cannot be divided by its deviation


@dataclass(frozen=True)
class ChannelStatistics:
    """Statistics of each channel over all pixels of a split.

    Args:
        mean: mean of each channel, for values scaled to 0 to 1.
        std: standard deviation of each channel, for values scaled to 0 to 1.
        low: smallest stored value of each channel.
        high: largest stored value of each channel.
        maximum: stored value that is scaled to 1: 255 for 8-bit images, 65535 for 16-bit ones, 1 for float images.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    maximum: float

    def normalization(self) -> Normalization:
        """Return the normalisation to mean 0 and deviation 1; a constant channel becomes 0."""
        return Normalization(self.mean, tuple(max(value, _LEAST_DEVIATION) for value in self.std), self.maximum)


@dataclass(frozen=True)
class SplitStatistics:
    """Statistics of a split.

    Args:
        images: number of images.
        sizes: number of images per height and width in pixels, the most frequent first.
        class_pixels: number of labelled pixels of each class.
        class_images: number of images with each class.
        ignored: number of ignored pixels.
        unlabelled: number of images without a mask.
        channels: statistics of the channels; None for a split without images.
    """

    images: int
    sizes: dict[tuple[int, int], int]
    class_pixels: tuple[int, ...]
    class_images: tuple[int, ...]
    ignored: int
    unlabelled: int
    channels: ChannelStatistics | None

    def to_dict(self, labels: LabelMap) -> dict[str, Any]:
        """Return a dictionary that JSON can hold."""
        total = sum(self.class_pixels)
        classes = {
            name: {"pixels": pixels, "share": pixels / total if total else None, "images": images}
            for name, pixels, images in zip(labels.names, self.class_pixels, self.class_images, strict=True)
        }
        return {
            "images": self.images,
            "unlabelled": self.unlabelled,
            "sizes": [{"height": h, "width": w, "images": count} for (h, w), count in self.sizes.items()],
            "classes": classes,
            "ignored_pixels": self.ignored,
            "channels": asdict(self.channels) if self.channels else None,
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """Measurements of one image; sums of stored values are in float64."""

    size: tuple[int, int]
    kind: str
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    class_pixels: NDArray[np.int64] | None
    ignored: int


@dataclass(frozen=True)
class _Measure:
    """Reads and measures records; sent to each worker process once."""

    reader: Reader

    def __call__(self, record: Record) -> _Measured:
        return measured(self.reader.read(record), self.reader.labels)


def split_statistics(
    reader: Reader, split: Split, *, workers: int = 0, show: ShowProgress = NO_PROGRESS
) -> SplitStatistics:
    """Measure a split, reading every file once.

    Args:
        reader: reader of the data set.
        split: train, val or test.
        workers: number of processes that decode; 0 for the main process.
        show: progress display.

    Raises:
        DataError: if a record cannot be read, or images have different bit depths.
    """
    records = reader.records(split)
    with show(f"stats {split}", len(records)) as progress:
        return combined(_counted(parallel_map(_Measure(reader), records, workers=workers), progress), reader.labels)


def measured(sample: Sample, labels: LabelMap) -> _Measured:
    """Return the measurements of one sample."""
    flat = sample.image.reshape(-1, sample.image.shape[2])
    if flat.dtype == np.uint8:
        sums, squares, low, high = _of_bytes(flat)
    else:
        wide = flat.astype(np.float64)
        sums, squares, low, high = wide.sum(axis=0), np.square(wide).sum(axis=0), wide.min(axis=0), wide.max(axis=0)
    class_pixels, ignored = None, 0
    if sample.mask is not None:
        counts = np.bincount(sample.mask.ravel(), minlength=labels.ignore_index + 1)
        class_pixels, ignored = counts[: len(labels)].astype(np.int64), int(counts[labels.ignore_index])
    return _Measured(sample.image.shape[:2], str(sample.image.dtype), sums, squares, low, high, class_pixels, ignored)


def combined(found: Iterable[_Measured], labels: LabelMap) -> SplitStatistics:
    """Return the statistics of many images, which are consumed one at a time.

    Raises:
        DataError: if images have different bit depths or channels.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    class_pixels = np.zeros(len(labels), np.int64)
    class_images = np.zeros(len(labels), np.int64)
    ignored = unlabelled = 0
    channels: _Channels | None = None
    for image in found:
        sizes[image.size] += 1
        channels = _Channels(image) if channels is None else channels.added(image)
        ignored += image.ignored
        if image.class_pixels is None:
            unlabelled += 1
        else:
            class_pixels += image.class_pixels
            class_images += image.class_pixels > 0
    return SplitStatistics(
        images=sum(sizes.values()),
        sizes=dict(sizes.most_common()),
        class_pixels=tuple(class_pixels.tolist()),
        class_images=tuple(class_images.tolist()),
        ignored=ignored,
        unlabelled=unlabelled,
        channels=None if channels is None else channels.statistics(),
    )


def channel_statistics(reader: Reader, options: DataOptions, *, workers: int = 0) -> ChannelStatistics:
    """Return the channel statistics of the training split, measured once and cached for the same files.

    Args:
        reader: reader of the data set.
        options: data options, for data set and cache.
        workers: number of processes that decode; 0 for the main process.

    Raises:
        DataError: if a record cannot be read, or images have different bit depths or channels.
    """
    path = cache_folder(options) / "statistics" / f"{_fingerprint(reader, options)}.json"
    kept = _read_kept(path)
    if kept is not None:
        return kept
    found = split_statistics(reader, "train", workers=workers).channels
    if found is None:
        raise DataError("the train split has no image", expected="images to measure")
    try:
        write_text(path, json.dumps(asdict(found), indent=2) + "\n")
    except OSError:  # measured again next time
        return found
    return found


def normalization_of(reader: Reader, options: DataOptions, *, workers: int = 0) -> Normalization:
    """Return the normalisation selected by the options.

    Args:
        reader: reader of the data set.
        options: data options; `normalization` is "fixed" for the Xceptions' own range -1 to 1, from the range of the
            training images' type, or "auto" for mean 0 and deviation 1 of each channel over the training split.
        workers: number of processes that decode; 0 for the main process.

    Raises:
        DataError: if a record cannot be read, or images have different bit depths or channels.
    """
    if options.normalization == "auto":
        return channel_statistics(reader, options, workers=workers).normalization()
    image = reader.read(reader.records("train")[0]).image
    return Normalization.for_channels(reader.channels, _maximum(str(image.dtype)))


def existing_splits(reader: Reader) -> dict[Split, int]:
    """Return the splits that can be listed, with their number of records.

    Raises:
        DataError: if none can be listed, with the fault of the training split.
    """
    found: dict[Split, int] = {}
    for split in SPLITS:
        try:
            found[split] = len(reader.records(split))
        except DataError:
            if split == "train":
                raise
    return found


class _Channels:
    """Sums of the channels over images of one type."""

    def __init__(self, image: _Measured) -> None:
        self._kind, self._pixels = image.kind, image.size[0] * image.size[1]
        self._sums, self._squares = image.sums.copy(), image.squares.copy()
        self._low, self._high = image.low.copy(), image.high.copy()

    def added(self, image: _Measured) -> _Channels:
        """Add an image and return self.

        Raises:
            DataError: if it has another bit depth or number of channels.
        """
        if image.kind != self._kind or len(image.sums) != len(self._sums):
            raise DataError(
                f"images of {self._kind} with {len(self._sums)} channels and of {image.kind} with {len(image.sums)}",
                expected="one type",
                remedy="run xseg data check to list them",
            )
        self._pixels += image.size[0] * image.size[1]
        self._sums += image.sums
        self._squares += image.squares
        self._low, self._high = np.minimum(self._low, image.low), np.maximum(self._high, image.high)
        return self

    def statistics(self) -> ChannelStatistics:
        """Return the statistics of all added images."""
        maximum = _maximum(self._kind)
        mean = self._sums / self._pixels
        variance = np.maximum(self._squares / self._pixels - mean**2, 0)
        return ChannelStatistics(
            mean=tuple((mean / maximum).tolist()),
            std=tuple((np.sqrt(variance) / maximum).tolist()),
            low=tuple(self._low.tolist()),
            high=tuple(self._high.tolist()),
            maximum=maximum,
        )


def _of_bytes(flat: NDArray[np.uint8]) -> tuple[NDArray[np.float64], ...]:
    """Return sums, squares, lows and highs of bytes (pixels, channels) from their histograms."""
    values = np.arange(256, dtype=np.float64)
    histograms = np.stack([np.bincount(flat[:, channel], minlength=256) for channel in range(flat.shape[1])])
    met = histograms > 0
    low, high = met.argmax(axis=1), 255 - met[:, ::-1].argmax(axis=1)
    return histograms @ values, histograms @ values**2, low.astype(np.float64), high.astype(np.float64)


def _maximum(kind: str) -> float:
    return float(np.iinfo(kind).max) if kind in ("uint8", "uint16") else 1.0


def _counted(found: Iterable[_Measured], progress: Progress) -> Iterable[_Measured]:
    for image in found:
        yield image
        progress.advance()


def _fingerprint(reader: Reader, options: DataOptions) -> str:
    digest = hashlib.sha256(os.fsencode(f"{options.root}\n{reader_identity(options, reader)}"))
    for record in reader.records("train"):
        digest.update(os.fsencode(f"{record.name}\n{file_stamp(record)}"))
    return digest.hexdigest()[:32]


def _read_kept(path: Path) -> ChannelStatistics | None:
    """Return cached statistics; None if there are none or the file is damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        maximum = float(values.pop("maximum"))
        return ChannelStatistics(
            **{name: tuple(map(float, numbers)) for name, numbers in values.items()}, maximum=maximum
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
