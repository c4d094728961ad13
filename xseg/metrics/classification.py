"""Scores of classifiers."""

from __future__ import annotations

from dataclasses import dataclass

TOP = 5  # classes in the top-5 accuracy, as on ImageNet


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
