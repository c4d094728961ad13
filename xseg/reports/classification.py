"""The report of a classifier: one HTML page that holds everything it shows."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from xseg.data.sample import Array
from xseg.files.atomic import write_text
from xseg.reports.charts import Series, draw_curves
from xseg.training.callbacks.epoch_table import Row, read_table
from xseg.training.classification import TOP, Mistake, Scores
from xseg.version import __version__

CHARTS = (
    ("Accuracy", (("val/accuracy", "validation"), ("val/top5", "validation, top 5"), ("train/accuracy", "training"))),
    ("Loss", (("train/loss", "training"), ("val/loss", "validation"))),
)
MOST_CLASSES = 40  # beyond, the confusion matrix is no longer readable
THUMBNAIL = 160  # pixels


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix.

    Args:
        share: of the row's images, 0 to 1.
        count: number of images.
        hint: what it says in words.
    """

    share: float
    count: int
    hint: str


def write_report(
    path: Path,
    *,
    title: str,
    scores: Scores,
    classes: Sequence[str],
    history: Path,
    pictures: Sequence[Array],
) -> None:
    """Write the report, whole or not at all. The page needs no other file and no network.

    Args:
        path: the HTML file.
        title: the page's heading.
        scores: of the best epoch.
        classes: their names.
        history: the training's metrics.csv.
        pictures: the images of the worst mistakes, (H, W, C) uint8, in their order.
    """
    environment = Environment(
        loader=PackageLoader("xseg.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rows = read_table(history)
    text = environment.get_template("classification.html").render(
        title=title,
        scores=scores,
        classes=classes,
        top=TOP,
        charts=[Markup(chart) for chart in _charts(rows, top5=len(classes) > TOP)],  # noqa: S704 - drawn here
        confusion=confusion_cells(scores.confusion, classes) if len(classes) <= MOST_CLASSES else [],
        mistakes=[_mistake(*pair, classes) for pair in zip(scores.worst, pictures, strict=True)],
        version=__version__,
    )
    write_text(path, text)


def confusion_cells(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[list[Cell]]:
    """Return the confusion matrix with each row as shares of its class's images."""
    rows = []
    for target, counts in enumerate(confusion):
        total = max(1, sum(counts))
        rows.append(
            [
                Cell(count / total, count, f"{classes[target]} taken for {classes[predicted]}: {count} of {total}")
                for predicted, count in enumerate(counts)
            ]
        )
    return rows


def _charts(rows: Sequence[Row], *, top5: bool) -> list[str]:
    charts = []
    for title, columns in CHARTS:
        series = []
        for column, name in columns:
            points = [(float(row["epoch"] or 0), value) for row in rows if (value := row.get(column)) is not None]
            if points and (top5 or column != "val/top5"):
                steps, values = zip(*points, strict=True)
                series.append(Series(name, steps, values))
        if series:
            charts.append(draw_curves(title, series, x="epoch"))
    return charts


def _mistake(mistake: Mistake, picture: Array, classes: Sequence[str]) -> dict[str, str]:
    image = Image.fromarray(picture[..., :3] if picture.shape[2] >= 3 else picture[..., 0])
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=85)
    return {
        "address": f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}",
        "target": classes[mistake.target],
        "predicted": classes[mistake.predicted],
        "probability": f"{100 * mistake.probability:.0f}\u00a0%",
    }
