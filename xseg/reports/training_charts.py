"""Charts of a training, drawn from its metrics.csv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from xseg.reports.charts import draw_curves
from xseg.reports.history import History


@dataclass(frozen=True)
class Chart:
    """Contents of one chart."""

    title: str
    columns: tuple[tuple[str, str], ...]
    logarithmic: bool = False


LOSS = Chart("Loss", (("train/loss", "training"), ("val/loss", "validation")))
LEARNING_RATE = Chart("Learning rate", (("lr", "learning rate"),), logarithmic=True)
SEGMENTATION_CHARTS = (LOSS, Chart("Validation mIoU", (("val/miou", "mIoU"),)), LEARNING_RATE)
CLASSIFICATION_CHARTS = (
    Chart(
        "Accuracy", (("val/accuracy", "validation"), ("val/top5", "validation, top 5"), ("train/accuracy", "training"))
    ),
    LOSS,
    LEARNING_RATE,
)


def draw_charts(history: History, charts: Sequence[Chart] = SEGMENTATION_CHARTS) -> list[Markup]:
    """Return one SVG element for each chart with measured columns."""
    drawn = []
    for chart in charts:
        curves = [replace(history.curves[name], name=text) for name, text in chart.columns if name in history.curves]
        if curves:
            svg = draw_curves(chart.title, curves, x=history.unit, logarithmic=chart.logarithmic)
            drawn.append(Markup(svg))  # noqa: S704 - drawn here
    return drawn
