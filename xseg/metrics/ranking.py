"""Scores of all thresholds of a class at once, from a histogram of its probabilities, in constant memory.

Probabilities are counted in `BINS` equal intervals, and those in one interval count as equal. A threshold is thus exact
to 1 / `BINS`, and each score equals the exact one of the probabilities rounded down to a multiple of 1 / `BINS`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from xseg.errors import ShapeError
from xseg.metrics.metric import Counts, Metric

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


def area_under_curve(histogram: Counts) -> float | None:
    """Return the probability that a positive pixel scores higher than a negative one, where ties count half.

    It is None if one of them is missing.
    """
    negatives, positives = histogram.astype(np.float64)
    pairs = negatives.sum() * positives.sum()
    below = negatives.cumsum() - negatives / 2
    return float(positives @ below / pairs) if pairs else None


def average_precision(histogram: Counts) -> float | None:
    """Return the mean precision at the thresholds of all positive pixels; None without positive pixels."""
    negatives, positives = histogram[:, ::-1].astype(np.float64)
    right = positives.cumsum()
    precision = right / np.maximum(right + negatives.cumsum(), 1)
    return float(positives @ precision / right[-1]) if right[-1] else None


class Ranking(Metric):
    """A score of the second of two classes from the histogram of its probabilities."""

    needs_probabilities, validated, counted_as, two_classes = True, False, "score_histogram", True

    def count(self, label: NDArray[Any], prediction: NDArray[Any]) -> Counts:
        """Return `score_histogram` of the second class; the prediction is (2, H, W) probabilities."""
        known = label != self.ignore_index
        return score_histogram(label[known] == 1, prediction[1][known])


class Auc(Ranking):
    """Area under the ROC curve of the second of two classes; None if only one of them is labelled."""

    name, overall_title = "auc", "AUC"

    def overall(self, counts: Counts) -> float | None:
        """Return the area."""
        return area_under_curve(counts)


class AveragePrecision(Ranking):
    """Average precision of the second of two classes (area under its precision-recall curve); None without labels."""

    name: ClassVar[str] = "average_precision"

    def overall(self, counts: Counts) -> float | None:
        """Return the average precision."""
        return average_precision(counts)
