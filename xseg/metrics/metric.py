"""Base class of metrics: counts per image, such as the confusion matrix, and scores from their sum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from xseg.errors import DataError, ShapeError

Counts = NDArray[Any]
CONFUSION = "confusion"  # name of the confusion matrix among counts


def confusion_matrix(
    label: NDArray[Any], prediction: NDArray[Any], *, classes: int, ignore_index: int
) -> NDArray[np.int64]:
    """Count the pixels of each pair of labelled and predicted class.

    Args:
        label: train ids, (H, W) integers from 0 to `classes` - 1, or `ignore_index`.
        prediction: train ids, (H, W) integers from 0 to `classes` - 1; any values at ignored pixels.
        classes: number of classes, K.
        ignore_index: label of pixels that are not counted.

    Returns:
        Counts of pixels, (K, K), with labels as rows and predictions as columns. Matrices of several images are added.

    Raises:
        ShapeError: if label and prediction differ in shape.
        DataError: if a label or a prediction is neither a class nor ignored.
    """
    if label.shape != prediction.shape:
        raise ShapeError(f"a label of {label.shape} and a prediction of {prediction.shape}", expected="equal shapes")
    counted = label != ignore_index
    rows = label[counted].astype(np.int64)
    columns = prediction[counted].astype(np.int64)
    for what, values in (("label", rows), ("prediction", columns)):
        if values.size and not (values.min() >= 0 and values.max() < classes):
            raise DataError(
                f"a {what} with values from {values.min()} to {values.max()}",
                expected=f"0 to {classes - 1}, or {ignore_index} where ignored",
            )
    counts = np.bincount(rows * classes + columns, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


class Metric:
    """Base class of all metrics. A subclass sets `name` and overrides `per_class`, `overall` or both.

    Unless it overrides `count`, it gets the confusion matrix, which is counted once for all metrics.

    Args:
        classes: number of classes, K.
        ignore_index: label of pixels that are not counted.

    Attributes:
        name: name of the class scores: key in metrics.json, and column val/NAME/CLASS in metrics.csv.
        title: heading of the class scores; empty for the name.
        overall_name: name of the score over all classes; empty for `name`, None for no such score.
        overall_title: heading of the score over all classes; empty for its name.
        shown: whether tables and reports show the class scores.
        validated: whether every validation during training measures it, or only on request.
        two_classes: whether it is for two classes only; it is left out for others.
        needs_probabilities: whether `count` gets probabilities, (K, H, W) float32, instead of the prediction.
        counted_as: name of the counts; metrics with the same name share them. Empty for `name`.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    overall_name: ClassVar[str | None] = ""
    overall_title: ClassVar[str] = ""
    shown: ClassVar[bool] = True
    validated: ClassVar[bool] = True
    two_classes: ClassVar[bool] = False
    needs_probabilities: ClassVar[bool] = False
    counted_as: ClassVar[str] = ""

    def __init__(self, *, classes: int, ignore_index: int) -> None:
        self.classes, self.ignore_index = classes, ignore_index

    def count(self, label: NDArray[Any], prediction: NDArray[Any]) -> Counts:
        """Count one image.

        Args:
            label: train ids or `ignore_index`, (H, W) integers.
            prediction: train ids, (H, W) integers; see `needs_probabilities`.

        Returns:
            Counts to be added over images, always of the same shape; here (K, K), see `confusion_matrix`.
        """
        return confusion_matrix(label, prediction, classes=self.classes, ignore_index=self.ignore_index)

    def per_class(self, counts: Counts) -> Sequence[float | None]:
        """Return the score of each class, K numbers; None or NaN if undefined."""
        raise NotImplementedError

    def overall(self, counts: Counts) -> float | None:
        """Return the score over all classes; by default, the mean of the defined class scores."""
        return mean(self.per_class(counts))

    @classmethod
    def overall_key(cls) -> str | None:
        """Return the name of the score over all classes; None for no such score."""
        return cls.name if cls.overall_name == "" else cls.overall_name

    @classmethod
    def heading(cls) -> str:
        """Return the heading of the class scores."""
        return cls.title or cls.name.replace("_", " ")

    @classmethod
    def overall_heading(cls) -> str:
        """Return the heading of the score over all classes."""
        return cls.overall_title or (cls.overall_key() or "").replace("_", " ")

    @classmethod
    def has_classes(cls) -> bool:
        """Return whether the metric has class scores."""
        return cls.per_class is not Metric.per_class

    @classmethod
    def has_overall(cls) -> bool:
        """Return whether the metric has a score over all classes."""
        return cls.overall_key() is not None and (cls.has_classes() or cls.overall is not Metric.overall)

    @classmethod
    def counts_name(cls) -> str:
        """Return the name of the counts: CONFUSION, unless the metric overrides `count`."""
        return CONFUSION if cls.count is Metric.count else cls.counted_as or cls.name


def ratio(part: float, whole: float) -> float | None:
    """Return part / whole, or None if whole is 0."""
    return part / whole if whole else None


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None, or None if there are none."""
    present = [value for value in values if value is not None and not np.isnan(value)]
    return sum(present) / len(present) if present else None
