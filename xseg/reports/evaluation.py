"""The report: one HTML page that holds everything it shows, for a person to judge a model by."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from xseg.errors import DataError
from xseg.evaluation.evaluate import Evaluation, Example
from xseg.files.atomic import write_text
from xseg.images.overlay import Pixels, blend
from xseg.labels.label_map import LabelMap
from xseg.reports.history import History, read_history
from xseg.reports.training_charts import draw_charts
from xseg.types import RGB, PathArgument
from xseg.version import __version__

NUMBERED_CLASSES = 40  # beyond, the cells of the confusion matrix are too small for numbers
LEARNING_PICTURES = 4  # of the same images over a training
BARS = ("iou", "accuracy", "precision", "recall", "f1", "boundary_iou")


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix.

    Args:
        share: of the row's pixels, 0 to 1; None if the row has none.
        text: the share in percent.
        hint: what the cell says in words.
        diagonal: whether prediction and label agree.
    """

    share: float | None
    text: str
    hint: str
    diagonal: bool


@dataclass(frozen=True)
class Picture:
    """One row of pictures; each is a data: address."""

    example: Example
    image: str
    label: str
    prediction: str


def write_report(
    evaluation: Evaluation,
    path: PathArgument,
    *,
    title: str,
    facts: Mapping[str, str] | None = None,
    history: PathArgument | None = None,
) -> None:
    """Write the report, whole or not at all. The page needs no other file and no network.

    Args:
        evaluation: what to report.
        path: the HTML file.
        title: the page's heading, for example the model's name.
        facts: shown in the head: what to know about model and data, each with its name.
        history: a training's metrics.csv, whose curves are shown, and of the pictures in pictures/ beside it a few.

    Raises:
        DataError: if the history cannot be read.
        OSError: if the file cannot be written.
    """
    curves = None if history is None else read_history(history)
    pictures = [] if history is None else select_pictures(Path(history).parent / "pictures")
    page = render_report(evaluation, title=title, facts=facts or {}, history=curves, pictures=pictures)
    write_text(path, page)


def render_report(
    evaluation: Evaluation,
    *,
    title: str,
    facts: Mapping[str, str],
    history: History | None = None,
    pictures: Sequence[Path] = (),
) -> str:
    """Return the report as HTML; see `write_report`."""
    environment = Environment(
        loader=PackageLoader("xseg.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(score=_score, percent=_percent, color=_color, count=_count)
    scores, labels = evaluation.scores, evaluation.labels
    return environment.get_template("evaluation.html").render(
        title=title,
        facts=facts,
        evaluation=evaluation,
        scores=scores,
        bars=BARS,
        classes=list(zip(labels.names, labels.colors, scores.classes, strict=True)),
        total=sum(entry.pixels for entry in scores.classes),
        charts=[Markup(chart) for chart in draw_charts(history)] if history else [],  # noqa: S704 - drawn here
        learning=[(_epoch(file), _data_address(read_picture(file))) for file in pictures],
        rows=confusion_cells(scores.confusion, labels.names),
        numbered=len(labels) <= NUMBERED_CLASSES,
        groups=[
            ("Worst pictures", [_picture(example, labels) for example in evaluation.worst]),
            ("Best pictures", [_picture(example, labels) for example in evaluation.best]),
        ],
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        version=__version__,
    )


def confusion_cells(confusion: tuple[tuple[int, ...], ...], names: tuple[str, ...]) -> list[list[Cell]]:
    """Return the confusion matrix with each row as shares of its label's pixels."""
    rows = []
    for label, counts in enumerate(confusion):
        total = sum(counts)
        row = []
        for prediction, count in enumerate(counts):
            share = count / total if total else None
            hint = f"{names[label]} predicted as {names[prediction]}: {_percent(share)} ({_count(count)} pixels)"
            text = "" if not share or share < 0.005 else f"{100 * share:.0f}"
            row.append(Cell(share, text, hint, label == prediction))
        rows.append(row)
    return rows


def select_pictures(folder: Path) -> list[Path]:
    """Return a few of a training's pictures in their order, the first and the last among them; none without any."""
    files = sorted(folder.glob("epoch_*.png"))
    places = np.linspace(0, len(files) - 1, min(LEARNING_PICTURES, len(files)))
    return [files[round(place)] for place in places.tolist()]


def read_picture(file: Path) -> Pixels:
    """Return a picture as (H, W, 3) uint8.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        with Image.open(file) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}", expected="a picture of the training") from error


def _epoch(file: Path) -> str:
    return f"epoch {int(file.stem.rpartition('_')[2])}"


def _picture(example: Example, labels: LabelMap) -> Picture:
    known = example.label != labels.ignore_index
    return Picture(
        example,
        image=_data_address(example.image),
        label=_data_address(_hatched(blend(example.image, example.label, labels, 0.6), known)),
        prediction=_data_address(blend(example.image, example.prediction, labels, 0.6)),
    )


def _hatched(picture: Pixels, known: NDArray[np.bool_]) -> Pixels:
    """Darken stripes where the label is ignored."""
    rows, columns = np.arange(known.shape[0])[:, None], np.arange(known.shape[1])
    stripes = ~known & ((rows + columns) % 8 < 4)
    return np.where(stripes[..., None], picture // 2, picture).astype(np.uint8)


def _data_address(picture: Pixels) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _count(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")  # narrow no-break space: no language's decimal mark


def _color(value: RGB | Any) -> str:
    red, green, blue = value
    return f"#{red:02x}{green:02x}{blue:02x}"
