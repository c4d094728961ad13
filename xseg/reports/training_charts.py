"""Charts of a training, drawn from its metrics.csv."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from xseg.reports.charts import BESIDE, draw_curves
from xseg.reports.history import History


@dataclass(frozen=True)
class Chart:
    """Contents of one chart."""

    title: str
    columns: tuple[tuple[str, str], ...]
    logarithmic: bool = False


LOSS = Chart("Loss", (("train/loss", "training"), ("val/loss", "validation")))
LEARNING_RATE = Chart("Learning rate", (("lr", "learning rate"),), logarithmic=True)
MIOU = Chart("Validation mIoU", (("val/miou", "mIoU"),))
CLASS_IOU = "val/iou/"
MOST_CLASSES = 12  # more curves are not told apart
CLASSIFICATION_CHARTS = (
    Chart(
        "Accuracy", (("val/accuracy", "validation"), ("val/top5", "validation, top 5"), ("train/accuracy", "training"))
    ),
    LOSS,
    LEARNING_RATE,
)


def class_chart(history: History) -> Chart:
    """Return the chart of the IoU of each class, by the last value; of many classes, those with the lowest."""
    last = {name: curve.values[-1] for name, curve in history.curves.items() if name.startswith(CLASS_IOU)}
    names = sorted(last, key=lambda name: -last[name])
    title = f"Validation IoU, {MOST_CLASSES} lowest classes" if len(names) > MOST_CLASSES else "Validation IoU"
    return Chart(title, tuple((name, name.removeprefix(CLASS_IOU)) for name in names[-MOST_CLASSES:]))


def draw_charts(history: History, charts: Sequence[Chart] | None = None) -> list[Markup]:
    """Return one SVG element for each chart with measured columns; by default, those of a segmentation."""
    drawn = []
    for chart in (LOSS, MIOU, class_chart(history), LEARNING_RATE) if charts is None else charts:
        curves = [replace(history.curves[name], name=text) for name, text in chart.columns if name in history.curves]
        if curves:
            height = 2.5 + (0.2 * math.ceil(len(curves) / 2) if len(curves) > BESIDE else 0)
            svg = draw_curves(chart.title, curves, x=history.unit, logarithmic=chart.logarithmic, size=(height, 3.9))
            drawn.append(Markup(svg))  # noqa: S704 - drawn here
    return drawn
