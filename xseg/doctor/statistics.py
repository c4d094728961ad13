"""Statistics of a data set: pixels and images per class, image sizes, and means and deviations of channels."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xseg.data.cache import cache_folder, file_stamp, reader_identity
from xseg.data.masks.numbers import class_pixels
from xseg.data.options import DataOptions
from xseg.data.sample import Reader, Record, Sample
from xseg.doctor.channels import ChannelStatistics, ChannelSums, largest_value
from xseg.doctor.parallel import parallel_map
from xseg.errors import DataError
from xseg.files.atomic import write_text
from xseg.files.objects import is_held
from xseg.files.progress import NO_PROGRESS, Progress, ShowProgress
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.types import SPLITS, Split


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
    """Measurements of one image."""

    size: tuple[int, int]
    channels: ChannelSums
    class_pixels: NDArray[np.int64] | None
    ignored: int


def split_statistics(
    reader: Reader, split: Split, *, workers: int = 0, show: ShowProgress = NO_PROGRESS
) -> SplitStatistics:
    """Measure a split, reading every file once, in `workers` processes, or in the main process for 0.

    Raises:
        DataError: if a record cannot be read, or images have different bit depths.
    """
    records = reader.records(split)
    with show(f"stats {split}", len(records)) as progress:
        found = parallel_map(partial(_read, reader), records, workers=workers)
        return combined(_counted(found, progress), reader.labels)


def _read(reader: Reader, record: Record) -> _Measured:
    return measured(reader.read(record), reader.labels)


def measured(sample: Sample, labels: LabelMap) -> _Measured:
    """Return the measurements of one sample."""
    pixels, ignored = None, 0
    if sample.mask is not None:
        pixels = class_pixels(sample.mask, len(labels))
        ignored = int(np.count_nonzero(sample.mask == labels.ignore_index))
    return _Measured(sample.image.shape[:2], ChannelSums.of(sample.image), pixels, ignored)


def combined(found: Iterable[_Measured], labels: LabelMap) -> SplitStatistics:
    """Return the statistics of many images, which are consumed one at a time.

    Raises:
        DataError: if images have different bit depths or channels.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    pixels = np.zeros(len(labels), np.int64)
    class_images = np.zeros(len(labels), np.int64)
    ignored = unlabelled = 0
    channels: ChannelSums | None = None
    for image in found:
        sizes[image.size] += 1
        channels = image.channels if channels is None else channels.added(image.channels)
        ignored += image.ignored
        if image.class_pixels is None:
            unlabelled += 1
        else:
            pixels += image.class_pixels
            class_images += image.class_pixels > 0
    return SplitStatistics(
        images=sum(sizes.values()),
        sizes=dict(sizes.most_common()),
        class_pixels=tuple(pixels.tolist()),
        class_images=tuple(class_images.tolist()),
        ignored=ignored,
        unlabelled=unlabelled,
        channels=None if channels is None else channels.statistics(),
    )


def channel_statistics(reader: Reader, options: DataOptions, *, workers: int = 0) -> ChannelStatistics:
    """Return the channel statistics of the training split, measured once and cached for the same files.

    They are measured in `workers` processes, or in the main process for 0.

    Raises:
        DataError: if a record cannot be read, or images have different bit depths or channels.
    """
    path = cache_folder(options) / "statistics" / f"{_fingerprint(reader, options)}.json"
    kept = None if is_held(options.reader) else _read_kept(path)  # arrays have no times that show a change
    if kept is not None:
        return kept
    found = split_statistics(reader, "train", workers=workers).channels
    if found is None:
        raise DataError("the train split has no image", expected="images to measure")
    with suppress(OSError):  # measured again next time
        write_text(path, json.dumps(asdict(found), indent=2) + "\n")
    return found


def normalization_of(reader: Reader, options: DataOptions, *, workers: int = 0) -> Normalization:
    """Return the normalisation selected by `options.normalization`.

    "fixed" is the Xceptions' own range -1 to 1, from the range of the training images' type; "auto" is mean 0 and
    deviation 1 of each channel over the training split, measured as by `channel_statistics`.

    Raises:
        DataError: if a record cannot be read, or images have different bit depths or channels.
    """
    if options.normalization == "auto":
        return channel_statistics(reader, options, workers=workers).normalization()
    image = reader.read(reader.records("train")[0]).image
    return Normalization.for_channels(reader.channels, largest_value(str(image.dtype)))


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
        channels = {name: tuple(map(float, numbers)) for name, numbers in values.items()}
        return ChannelStatistics(**channels, maximum=maximum)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
