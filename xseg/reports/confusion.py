"""Confusion matrix for a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xseg.reports.pages import format_count, format_percent

NUMBERED_CLASSES = 40  # with more classes, cells are too small for numbers


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix: pixels or images, and their share of the row, None if that is empty."""

    count: int
    share: float | None
    hint: str
    diagonal: bool

    @property
    def percent(self) -> str:
        """Share in whole percent; blank below 0.5."""
        return "" if not self.share or self.share < 0.005 else f"{100 * self.share:.0f}"


def confusion_cells(confusion: Sequence[Sequence[int]], names: Sequence[str], unit: str) -> list[list[Cell]]:
    """Return the confusion matrix with shares of each row.

    Args:
        confusion: counts with one row per label and one column per prediction.
        names: class names.
        unit: unit of the counts in the plural, for tooltips.
    """
    rows = []
    for label, counts in enumerate(confusion):
        total = sum(counts)
        row = []
        for prediction, count in enumerate(counts):
            share = count / total if total else None
            quantity = f"{format_percent(share)} ({format_count(count)} {unit})"
            hint = f"{names[label]} predicted as {names[prediction]}: {quantity}"
            row.append(Cell(count, share, hint, label == prediction))
        rows.append(row)
    return rows
