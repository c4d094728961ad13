"""Values of classes in mask files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xseg.errors import ConfigError
from xseg.labels.label_map import LabelMap
from xseg.types import MaskValues

NO_DATA = 127  # neither of two classes


def value_table(labels: LabelMap, values: MaskValues) -> NDArray[Any]:
    """Return the value of each class and of "no data".

    Args:
        labels: label map of exclusive classes.
        values: "255" for 0 (the background, or the first class) and 255; "color" for the classes' colours; "raw" for
            their numbers in the files of the data set.

    Returns:
        Numbers, (classes + 1,) uint8 or uint16, or red, green, blue and opacity, (classes + 1, 4) uint8.

    Raises:
        ConfigError: if the values do not fit the classes.
    """
    remedy = "leave out --mask_values"
    if labels.overlapping:
        raise ConfigError(f"mask_values={values} for overlapping classes", expected="index", remedy=remedy)
    if values == "255":
        if len(labels) != 2:
            raise ConfigError(f"mask_values=255 for {len(labels)} classes", expected="two", remedy="use color or raw")
        first = labels.background_id or 0
        return np.array([255 * (index != first) for index in range(2)] + [NO_DATA], np.uint8)
    if values == "color":
        if len(set(labels.colors)) < len(labels):
            raise ConfigError("mask_values=color for classes of one colour", expected="different ones", remedy=remedy)
        return np.array([(*color, 255) for color in labels.colors] + [(0, 0, 0, 0)], np.uint8)
    candidates = (*labels.ignored_raw_ids, labels.ignore_index, *range(len(labels) + 1))
    numbers = [*labels.raw_ids, next(number for number in candidates if number >= 0 and number not in labels.raw_ids)]
    if not 0 <= min(numbers) <= max(numbers) <= 65535:
        raise ConfigError(f"mask_values=raw with numbers up to {max(numbers)}", expected="0 to 65535", remedy=remedy)
    return np.array(numbers, np.uint8 if max(numbers) <= 255 else np.uint16)


def encoded(mask: NDArray[Any], table: NDArray[Any]) -> NDArray[Any]:
    """Return the values of train ids, (H, W) or (H, W, 4); numbers that are no classes become "no data"."""
    values: NDArray[Any] = table[np.minimum(mask, len(table) - 1)]
    return values


def decoded(pixels: NDArray[Any], table: NDArray[Any], nodata: int | None = None) -> NDArray[Any]:
    """Return the train ids of values, (H, W) or (H, W, 3 or 4); values of no class become `nodata`, if given."""
    keys, known = pixels.astype(np.int64), table[:-1].astype(np.int64)
    if table.ndim == 2:  # one number per colour
        weights = 256 ** np.arange(pixels.shape[2])
        keys, known = keys @ weights, known[:, : len(weights)] @ weights
    order = np.argsort(known)
    place = order[np.minimum(np.searchsorted(known, keys, sorter=order), len(known) - 1)]
    ids = place if nodata is None else np.where(known[place] == keys, place, nodata)
    return ids.astype(np.uint8 if max(nodata or 0, len(known) - 1) <= 255 else np.uint16)
