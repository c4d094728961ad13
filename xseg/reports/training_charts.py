"""The charts of a training, drawn from its table of epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from xseg.reports.charts import draw_curves
from xseg.reports.history import History


@dataclass(frozen=True)
class Chart:
    """What one chart shows.

    Args:
        title: text above the chart.
        columns: names in the training's table, each with its name in the legend.
        logarithmic: whether values are drawn by powers of ten.
    """

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
    """Return an SVG element per chart whose columns were measured."""
    drawn = []
    for chart in charts:
        curves = [replace(history.curves[name], name=text) for name, text in chart.columns if name in history.curves]
        if curves:
            svg = draw_curves(chart.title, curves, x=history.unit, logarithmic=chart.logarithmic)
            drawn.append(Markup(svg))  # noqa: S704 - drawn here
    return drawn
