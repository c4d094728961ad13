"""The scores of semantic segmentation as pure maths on a confusion matrix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xseg.errors import ShapeError


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class, fractions from 0 to 1; None where the score has no meaning.

    Args:
        iou: intersection over union; None if the class is neither labelled nor predicted.
        accuracy: share of the class's labelled pixels that are predicted right, as the field calls a class's
            accuracy; None if none is labelled. The same number as `recall`, under the name of detection.
        precision: share of the pixels predicted as the class that are right; None if none is predicted.
        recall: see `accuracy`.
        f1: harmonic mean of precision and recall (Dice); None if the class is neither labelled nor predicted.
        boundary_iou: IoU of the boundary bands; None if there are none, or if it was not measured.
        pixels: labelled pixels.
    """

    iou: float | None
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    boundary_iou: float | None
    pixels: int


@dataclass(frozen=True)
class Scores:
    """The scores of a set of images, fractions from 0 to 1; None where a score has no meaning.

    Args:
        miou: mean IoU over the classes that are labelled or predicted.
        mean_accuracy: mean accuracy over the classes that are labelled.
        pixel_accuracy: share of the labelled pixels that are predicted right.
        fwiou: IoU averaged with the share of labelled pixels as weight.
        boundary_iou: mean boundary IoU over the classes that have a boundary.
        classes: one entry per class, by train id.
        confusion: pixels; confusion[label][prediction].
    """

    miou: float | None
    mean_accuracy: float | None
    pixel_accuracy: float | None
    fwiou: float | None
    boundary_iou: float | None
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Return plain values for JSON, with the classes under their names.

        Raises:
            ValueError: if there is not one name per class.
        """
        classes = {name: asdict(scores) for name, scores in zip(names, self.classes, strict=True)}
        return {**asdict(self), "classes": classes, "confusion": [list(row) for row in self.confusion]}


def ratio(part: float, whole: float) -> float | None:
    """Return part / whole, or None where there is no whole."""
    return part / whole if whole else None


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that have a meaning, or None if none has."""
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None


def scores_from_confusion(confusion: NDArray[np.int64], boundary_iou: Sequence[float | None] | None = None) -> Scores:
    """Compute all scores.

    Args:
        confusion: (K, K) counts of pixels; rows are labels, columns predictions. Ignored pixels are not in it.
        boundary_iou: the boundary IoU per class, if it was measured.

    Returns:
        The scores. A class that is absent from labels and predictions takes part in no mean; one that is predicted
        but never labelled has an IoU of 0, which counts, and no accuracy.

    Raises:
        ShapeError: if the matrix is not square, a count is negative, or the boundary IoUs are not one per class.
    """
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1] or (confusion < 0).any():
        raise ShapeError(f"a confusion matrix of {confusion.shape}", expected="(K, K) counts of pixels")
    counts = confusion.tolist()  # Python's integers neither overflow nor round
    boundaries = [None] * len(counts) if boundary_iou is None else list(boundary_iou)
    if len(boundaries) != len(counts):
        raise ShapeError(f"{len(boundaries)} boundary IoUs for {len(counts)} classes", expected="one per class")
    right = [row[index] for index, row in enumerate(counts)]
    labelled = [sum(row) for row in counts]
    predicted = [sum(column) for column in zip(*counts, strict=True)]
    quadruples = zip(right, labelled, predicted, boundaries, strict=True)
    classes = tuple(_class_scores(*quadruple) for quadruple in quadruples)
    total = sum(labelled)
    weighted = sum((entry.iou or 0.0) * entry.pixels for entry in classes)
    return Scores(
        miou=mean(entry.iou for entry in classes),
        mean_accuracy=mean(entry.accuracy for entry in classes),
        pixel_accuracy=ratio(sum(right), total),
        fwiou=ratio(weighted, total),
        boundary_iou=mean(boundaries),
        classes=classes,
        confusion=tuple(tuple(row) for row in counts),
    )


def _class_scores(right: int, labelled: int, predicted: int, boundary_iou: float | None) -> ClassScores:
    recall = ratio(right, labelled)
    return ClassScores(
        iou=ratio(right, labelled + predicted - right),
        accuracy=recall,
        precision=ratio(right, predicted),
        recall=recall,
        f1=ratio(2 * right, labelled + predicted),
        boundary_iou=boundary_iou,
        pixels=labelled,
    )
