"""Curves of a training, read from its metrics.csv, and their charts."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from xseg.errors import DataError
from xseg.reports.charts import BESIDE, Series, draw_curves
from xseg.types import PathArgument


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


@dataclass(frozen=True)
class History:
    """Measurements of a training.

    Args:
        unit: unit of the steps: "epoch", or "step" if the table has no epochs.
        curves: one curve per measured column, by name; values are finite.
    """

    unit: str
    curves: dict[str, Series]


def read_history(path: PathArgument) -> History:
    """Read a table in the format of Lightning's CSVLogger: one column per value, empty if not measured.

    Args:
        path: path of metrics.csv, with a column "epoch" or "step"; for each epoch, the last value is used.

    Returns:
        The curves; cells without a finite number are left out.

    Raises:
        DataError: if the file cannot be read or has neither column.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}", expected="a training's metrics.csv") from error
    columns = list(rows[0]) if rows else []
    unit = next((name for name in ("epoch", "step") if name in columns), None)
    if unit is None:
        raise DataError(f"{path} has columns {columns}", expected="a table with epoch or step")
    points: dict[str, dict[float, float]] = {name: {} for name in columns if name not in ("epoch", "step", None)}
    for row in rows:
        step = _number(row[unit])
        for name, measured in points.items():
            value = _number(row[name])
            if step is not None and value is not None:
                measured[step] = value
    found = {name: zip(*sorted(measured.items()), strict=True) for name, measured in points.items() if measured}
    return History(unit, {name: Series(name, *steps_and_values) for name, steps_and_values in found.items()})


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


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
