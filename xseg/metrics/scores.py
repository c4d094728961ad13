"""Scores of a set of images: count images, add the counts, and compute all metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xseg.errors import ConfigError, ShapeError
from xseg.metrics.metric import CONFUSION, Counts, Metric, confusion_matrix, mean
from xseg.metrics.overlap import outcomes

TOP = 5  # classes in the top-5 accuracy, as on ImageNet
ImageCounts: TypeAlias = Mapping[str, Counts]
"""Counts: the confusion matrix under "confusion", and the counts of metrics with their own."""


@dataclass(frozen=True)
class Scores:
    """Scores of a set of images; undefined scores are None.

    A class that is neither labelled nor predicted is not part of any mean. A class that is predicted but never labelled
    has an IoU of 0, which is part of the mean, and no accuracy.

    Args:
        overall: scores over all classes by name; see `xseg.metrics.registry.METRICS`.
        per_class: scores of each class in the order of train ids, by name of the metric.
        pixels: number of labelled pixels of each class.
        confusion: number of pixels, as confusion[label][prediction]; empty if classes overlap.
        present: outcomes of each class if classes overlap; otherwise empty.
    """

    overall: dict[str, float | None]
    per_class: dict[str, tuple[float | None, ...]]
    pixels: tuple[int, ...]
    confusion: tuple[tuple[int, ...], ...]
    present: tuple[dict[str, int], ...] = ()

    @property
    def outcomes(self) -> list[dict[str, int]]:
        """Numbers of pixels tp, fp, fn and tn of each of two, or of overlapping, classes; otherwise empty."""
        return outcomes(np.asarray(self.confusion)) if len(self.confusion) == 2 else [*self.present]

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Return a dictionary that JSON can hold, with classes by name.

        Raises:
            ValueError: if the number of names differs from the number of classes.
        """
        columns = {**self.per_class, "pixels": self.pixels}
        rows = [dict[str, Any](zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        for row, numbers in zip(rows, self.outcomes, strict=False):
            row |= numbers
        classes = dict(zip(names, rows, strict=True))
        return {**self.overall, "classes": classes, CONFUSION: [list(row) for row in self.confusion]}


def count_image(
    metrics: Sequence[Metric],
    label: NDArray[Any],
    prediction: NDArray[Any],
    *,
    classes: int,
    ignore_index: int,
    probabilities: NDArray[Any] | None = None,
) -> dict[str, Counts]:
    """Count one image for several metrics.

    Args:
        metrics: metrics from `create_metrics`.
        label: train ids or `ignore_index`, (H, W) integers.
        prediction: train ids, (H, W) integers.
        classes: number of classes.
        ignore_index: label of pixels that are not counted.
        probabilities: probabilities, (K, H, W), if a metric needs them.

    Returns:
        The confusion matrix, and the counts of metrics with their own.

    Raises:
        ShapeError: if label and prediction differ in shape.
        DataError: if a label or a prediction is neither a class nor ignored.
        ConfigError: if a metric does not return counts, or needs probabilities that are missing.
    """
    matrix = confusion_matrix(label, prediction, classes=classes, ignore_index=ignore_index)
    return {CONFUSION: matrix, **own_counts(metrics, label, prediction, probabilities)}


def own_counts(
    metrics: Sequence[Metric], label: NDArray[Any], prediction: NDArray[Any], probabilities: NDArray[Any] | None
) -> dict[str, Counts]:
    """Return the counts of `count_image` without the confusion matrix, with the same errors."""
    counted: dict[str, Counts] = {}
    for metric in metrics:
        name = metric.counts_name()
        if name == CONFUSION or name in counted:
            continue
        predicted = probabilities if metric.needs_probabilities else prediction
        if predicted is None:
            raise ConfigError(f"metric {metric.name} without probabilities", expected="probabilities of all classes")
        counts = np.asarray(metric.count(label, predicted))
        if counts.dtype.kind not in "iuf":
            raise ConfigError(f"metric {metric.name} counted {counts!r}", expected="numbers of one shape")
        counted[name] = counts.astype(np.int64) if counts.dtype.kind in "iu" else counts
    return counted


def add_counts(total: ImageCounts, more: ImageCounts) -> dict[str, Counts]:
    """Return the sum of the counts of two sets of images; an empty set counts as 0.

    Raises:
        ConfigError: if a metric's counts have other shapes.
    """
    for name, counts in more.items():
        if name in total and total[name].shape != counts.shape:
            raise ConfigError(
                f"metric {name} counted an array of {counts.shape} after one of {total[name].shape}",
                expected="the same shape for every image",
            )
    return {**total, **{name: total[name] + counts if name in total else counts for name, counts in more.items()}}


def compute_scores(metrics: Sequence[Metric], counts: ImageCounts) -> Scores:
    """Compute all scores.

    Args:
        metrics: metrics from `create_metrics`.
        counts: counts from `count_image`, for one image or summed over several.

    Returns:
        The scores, in the order of the metrics.

    Raises:
        ShapeError: if the confusion matrix is not square or a count is negative.
        ConfigError: if a metric does not return a number, or one per class.
    """
    confusion = counts[CONFUSION]
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1] or (confusion < 0).any():
        raise ShapeError(f"a confusion matrix of {confusion.shape}", expected="(K, K) counts of pixels")
    overall: dict[str, float | None] = {}
    per_class: dict[str, tuple[float | None, ...]] = {}
    for metric in metrics:
        own = counts.get(metric.counts_name())
        if metric.has_classes():
            values = [None] * len(confusion) if own is None else metric.per_class(own)
            per_class[metric.name] = tuple(_number(metric, value) for value in values)
            if len(values) != len(confusion):
                raise ConfigError(
                    f"metric {metric.name} gave {len(values)} scores",
                    expected=f"one for each of {len(confusion)} classes",
                )
        key = metric.overall_key()
        if key is not None:
            overall[key] = None if own is None else _number(metric, metric.overall(own))
    rows = confusion.tolist()
    return Scores(overall, per_class, tuple(map(sum, rows)), tuple(map(tuple, rows)))


def _number(metric: Metric, value: Any) -> float | None:
    """Return a score; None for NaN."""
    if value is None:
        return None
    if not isinstance(value, int | float | np.number):
        raise ConfigError(f"metric {metric.name} gave {value!r}", expected="a number or None")
    return float(value) if math.isfinite(value) else None


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

    For overlapping classes, the metrics have 2 classes, the label holds 0, 1 and `ignore_index`, the prediction 0 and
    1, both (H, W, classes).
    """
    if label.ndim == 2:
        numbers = {"classes": classes, "ignore_index": ignore_index}
        return count_image(metrics, label, prediction, **numbers, probabilities=probabilities)
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


@dataclass(frozen=True)
class ClassificationScores:
    """Scores of a validation.

    Args:
        loss: mean cross-entropy without label smoothing.
        top5: share of images whose class has one of the five highest scores.
        confusion: number of images per class (row) and predicted class (column).
    """

    loss: float
    top5: float
    confusion: tuple[tuple[int, ...], ...]

    @property
    def accuracy(self) -> float:
        """Share of images whose class has the highest score, over all images instead of a mean over classes."""
        total = sum(map(sum, self.confusion))
        return sum(row[index] for index, row in enumerate(self.confusion)) / max(1, total)
