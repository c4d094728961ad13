"""Decision thresholds from histograms of probabilities, in constant memory."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from xseg.metrics.metric import Counts
from xseg.metrics.ranking import Ranking

DEFAULT = 0.5


def choose_threshold(histogram: Counts, precision: float | None = None) -> float:
    """Return the best threshold: a pixel has the class if its probability is at least the threshold.

    Args:
        histogram: number of pixels without and with the class, (2, bins), from `xseg.metrics.ranking.score_histogram`.
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
