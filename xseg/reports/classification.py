"""Report of a classifier as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xseg.data.sample import Array
from xseg.evaluation.classification import Mistake
from xseg.files.atomic import write_text
from xseg.metrics.scores import TOP, ClassificationScores
from xseg.reports.history import CLASSIFICATION_CHARTS, draw_charts, read_history
from xseg.reports.pages import NUMBERED_CLASSES, confusion_cells, render_page


def write_report(
    path: Path,
    *,
    title: str,
    scores: ClassificationScores,
    classes: Sequence[str],
    history: Path,
    mistakes: Sequence[tuple[Mistake, Array]],
) -> None:
    """Write the report, completely or not at all. The page is self-contained and needs no network.

    `mistakes` are the surest ones, each with its image, (H, W, C) uint8; `history` is the training's metrics.csv.

    Raises:
        DataError: if the history cannot be read.
        OSError: if the file cannot be written.
    """
    measured = read_history(history)
    if len(classes) <= TOP:  # every class is among the best five
        measured = replace(measured, curves={name: c for name, c in measured.curves.items() if name != "val/top5"})
    values = {
        "title": title,
        "scores": scores,
        "classes": classes,
        "top": TOP,
        "charts": draw_charts(measured, CLASSIFICATION_CHARTS),
        "confusion": confusion_cells(scores.confusion, classes, "images") if len(classes) <= NUMBERED_CLASSES else [],
        "mistakes": [
            {
                "picture": picture,
                "target": classes[mistake.target],
                "predicted": classes[mistake.predicted],
                "probability": f"{100 * mistake.probability:.0f}\u00a0%",
            }
            for mistake, picture in mistakes
        ],
    }
    write_text(path, render_page("classification.html", values))
