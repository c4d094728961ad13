"""Scores of overlapping classes, each of which is a problem of two classes: absent and present."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xseg.metrics.metric import CONFUSION, Counts, Metric, mean
from xseg.metrics.scores import ImageCounts, Scores, compute_scores, count_image


def count_mask(
    metrics: Sequence[Metric],
    label: NDArray[Any],
    prediction: NDArray[Any],
    *,
    classes: int,
    ignore_index: int,
    probabilities: NDArray[Any] | None = None,
) -> dict[str, Counts]:
    """Count one image as `count_image`, or each of its overlapping classes along a new first axis of all counts.

    Args:
        metrics: metrics from `create_metrics`, of 2 classes for overlapping classes.
        label: train ids, (H, W), or 0, 1 and `ignore_index`, (H, W, classes) for overlapping classes.
        prediction: train ids, or 0 and 1, in the shape of the label.
        classes: number of classes.
        ignore_index: label of pixels that are not counted.
        probabilities: probabilities, (classes, H, W), if a metric needs them.
    """
    if label.ndim == 2:
        return count_image(
            metrics, label, prediction, classes=classes, ignore_index=ignore_index, probabilities=probabilities
        )
    each = []
    for index in range(classes):
        pair = label[..., index], prediction[..., index]
        both = None if probabilities is None else np.stack([1 - probabilities[index], probabilities[index]])
        each.append(count_image(metrics, *pair, classes=2, ignore_index=ignore_index, probabilities=both))
    return {name: np.stack([counts[name] for counts in each]) for name in each[0]}


def compute_mask_scores(metrics: Sequence[Metric], counts: ImageCounts) -> Scores:
    """Return the scores from the counts of `count_mask`."""
    if counts[CONFUSION].ndim == 2:
        return compute_scores(metrics, counts)
    each = [{name: values[index] for name, values in counts.items()} for index in range(len(counts[CONFUSION]))]
    return combine_classes(metrics, [compute_scores(metrics, single) for single in each])


def combine_classes(metrics: Sequence[Metric], each: Sequence[Scores]) -> Scores:
    """Combine the scores of overlapping classes.

    Args:
        metrics: metrics from `create_metrics` with 2 classes.
        each: scores of each class, whose labels and predictions are 0 for absent and 1 for present.

    Returns:
        Per class, the scores of being present; over all classes, the mean of the defined ones.
    """
    names = [metric.name for metric in metrics if metric.has_classes()]
    per_class = {name: tuple(scores.per_class[name][1] for scores in each) for name in names}
    overall: dict[str, float | None] = {}
    for metric in metrics:
        key = metric.overall_key()
        if key is not None:
            overall[key] = mean(per_class.get(metric.name) or [scores.overall[key] for scores in each])
    pixels = tuple(scores.pixels[1] for scores in each)
    return Scores(overall, per_class, pixels, confusion=(), present=tuple(scores.outcomes[1] for scores in each))
