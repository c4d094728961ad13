"""Scores of images that each show one class, as a whole."""

from __future__ import annotations

from dataclasses import dataclass

TOP = 5  # classes among which the right one counts as found, as on ImageNet


@dataclass(frozen=True)
class ClassificationScores:
    """What a validation found.

    Args:
        loss: mean cross-entropy, without label smoothing.
        top5: share of images whose class is among the five highest.
        confusion: number of images per class (row) and predicted class (column).
    """

    loss: float
    top5: float
    confusion: tuple[tuple[int, ...], ...]

    @property
    def accuracy(self) -> float:
        """Share of images whose class has the highest score: of all images, not the mean over classes."""
        total = sum(map(sum, self.confusion))
        return sum(row[index] for index, row in enumerate(self.confusion)) / max(1, total)
