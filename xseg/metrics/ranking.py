"""Scores of all thresholds of a class, and the best threshold, from a histogram of probabilities in constant memory.

Probabilities are counted in `BINS` equal intervals, and those in one interval count as equal. A threshold is thus exact
to 1 / `BINS`, and each score equals the exact one of the probabilities rounded down to a multiple of 1 / `BINS`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from xseg.errors import ShapeError
from xseg.labels.decision import DEFAULT
from xseg.metrics.metric import Counts, Metric, ratio

BINS = 4096


def score_histogram(positive: NDArray[np.bool_], scores: NDArray[Any]) -> NDArray[np.int64]:
    """Count pixels by truth and score.

    Args:
        positive: whether each pixel belongs to the class, without ignored pixels, any shape.
        scores: probability of the class at each pixel, 0 to 1, same shape.

    Returns:
        Number of negative (0) and positive (1) pixels per interval, from low to high scores, (2, `BINS`).

    Raises:
        ShapeError: if the shapes differ.
    """
    if positive.shape != scores.shape:
        raise ShapeError(f"labels of {positive.shape} and scores of {scores.shape}", expected="equal shapes")
    places = (scores * BINS).astype(np.int64).clip(0, BINS - 1) + BINS * positive
    return np.bincount(places.ravel(), minlength=2 * BINS).reshape(2, BINS).astype(np.int64)


class Ranking(Metric):
    """A score of the second of two classes from the histogram of its probabilities."""

    needs_probabilities, validated, counted_as, two_classes = True, False, "score_histogram", True

    def count(self, label: NDArray[Any], prediction: NDArray[Any]) -> Counts:
        """Return `score_histogram` of the second class; the prediction is (2, H, W) probabilities."""
        known = label != self.ignore_index
        return score_histogram(label[known] == 1, prediction[1][known])


class Auc(Ranking):
    """Area under the ROC curve of the second of two classes; None if only one of them is labelled.

    It is the probability that a pixel of the class scores higher than one of the other, where ties count half.
    """

    name, overall_title = "auc", "AUC"

    def overall(self, counts: Counts) -> float | None:
        """Return the area."""
        negatives, positives = counts.astype(np.float64)
        return ratio(positives @ (negatives.cumsum() - negatives / 2), negatives.sum() * positives.sum())


class AveragePrecision(Ranking):
    """Mean precision at the thresholds of all pixels of the second of two classes; None without such pixels."""

    name: ClassVar[str] = "average_precision"

    def overall(self, counts: Counts) -> float | None:
        """Return the average precision."""
        negatives, positives = counts[:, ::-1].astype(np.float64)
        right = positives.cumsum()
        return ratio(positives @ (right / np.maximum(right + negatives.cumsum(), 1)), right[-1])


def choose_threshold(histogram: Counts, precision: float | None = None) -> float:
    """Return the best threshold: a pixel has the class if its probability is at least the threshold.

    Args:
        histogram: number of pixels without and with the class, (2, bins), from `score_histogram`.
        precision: wanted precision, 0 to 1: the threshold has the highest recall of those that reach it, or the
            highest precision if none reaches it. None for the highest F1.

    Returns:
        A multiple of 1 / bins, below 1. Of several equally good thresholds, the one closest to 0.5, then the lower one;
        0.5 without any pixel of the class.
    """
    wrong, right = histogram[:, ::-1].cumsum(axis=1)[:, ::-1]  # pixels at or above the start of each bin
    if not right[0]:
        return DEFAULT
    thresholds = np.arange(len(right)) / len(right)
    found = right / np.maximum(right + wrong, 1)
    keys = [thresholds, np.abs(thresholds - DEFAULT)]  # the last key decides first
    if precision is None:
        keys.append(-2 * right / (right + wrong + right[0]))
    else:
        reached = (found >= precision) & (right > 0)
        keys += [-found, -np.where(reached, right, 0), ~reached]
    return float(thresholds[np.lexsort(keys)[0]])


class BestThreshold(Ranking):
    """Best decision threshold of the second of two classes.

    Args:
        ignore_index: label of pixels that are not counted.
        precision: see `choose_threshold`.
    """

    name: ClassVar[str] = "threshold"
    overall_name: ClassVar[str | None] = None

    def __init__(self, *, ignore_index: int, precision: float | None = None) -> None:
        super().__init__(classes=2, ignore_index=ignore_index)
        self.precision = precision

    def per_class(self, counts: Counts) -> list[float | None]:
        """Return None for the first class, and the threshold of the second one."""
        return [None, choose_threshold(counts, self.precision)]
