"""How much each class counts in the loss, measured from the training masks."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from xseg.data.sample import InspectableReader, Reader, Record
from xseg.errors import DataError
from xseg.training.options.recipe import ClassWeighting

UNEVEN = 10.0  # times the pixels of another class: from there on "auto" weighs


def class_weights(pixels: Sequence[int], weighting: ClassWeighting) -> tuple[float, ...] | None:
    """Return the weight of each class.

    Args:
        pixels: number of labelled pixels of each class.
        weighting: "none"; "inverse": median / frequency; "inverse_sqrt": its square root; "auto": that where the
            commonest class that is met has over ten times the pixels of the rarest, else none.

    Returns:
        A weight above 0 per class, or None for no weights. A class without a pixel has weight 1: it is met in no
        target. The median is taken over the classes that are met.

    Source: Eigen and Fergus 2015, section 6.3.2, with the share of all pixels as the frequency.
    """
    counts = np.asarray(pixels, dtype=np.float64)
    met = counts > 0
    if weighting == "auto":
        weighting = "inverse_sqrt" if met.any() and counts.max() > UNEVEN * counts[met].min() else "none"
    if weighting == "none":
        return None
    if not met.any():
        return (1.0,) * len(counts)
    ratio = np.ones_like(counts)
    ratio[met] = np.median(counts[met]) / counts[met]
    return tuple((np.sqrt(ratio) if weighting == "inverse_sqrt" else ratio).tolist())


def count_pixels(reader: Reader, *, threads: int) -> NDArray[np.int64]:
    """Count the labelled pixels of each class over the training split.

    Args:
        reader: the data.
        threads: number of files read at once; decoding an image does not hold Python's lock.

    Returns:
        Pixels per class, (classes,) int64.

    Raises:
        DataError: if a training record has no mask.
    """
    with ThreadPoolExecutor(max(1, threads)) as pool:
        counts = pool.map(lambda record: _count(reader, record), reader.records("train"))
        return sum(counts, np.zeros(len(reader.labels), dtype=np.int64))


def _count(reader: Reader, record: Record) -> NDArray[np.int64]:
    labels = reader.labels
    counts = np.zeros(len(labels), dtype=np.int64)
    values = reader.inspect(record).values if isinstance(reader, InspectableReader) else {}
    if not values:  # nothing cheaper than decoding the image too
        mask = reader.read(record).mask
        if mask is None:
            raise DataError(f"training image {record.image} has no mask", expected="one mask per training image")
        return counts + np.bincount(mask[mask != labels.ignore_index].ravel(), minlength=len(labels))
    train_ids = labels.train_ids()
    for value, pixels in values.items():
        if train_ids[value] != labels.ignore_index:
            counts[train_ids[value]] += pixels
    return counts
