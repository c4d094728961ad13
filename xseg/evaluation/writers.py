"""The scores as files: metrics.json for programs, per_image.csv for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from xseg.evaluation.evaluate import Evaluation
from xseg.evaluation.settings import EvaluationSettings
from xseg.files.atomic import write_text
from xseg.types import PathArgument


def write_metrics(evaluation: Evaluation, path: PathArgument, settings: EvaluationSettings | None = None) -> Path:
    """Write the scores as JSON, fractions from 0 to 1 and null where a score has no meaning; return the path.

    Args:
        evaluation: scores to write.
        path: the JSON file.
        settings: model, split, data and options, written under "evaluated".

    Raises:
        OSError: if the file cannot be written.
    """
    values = evaluation.scores.to_dict(evaluation.labels.names)
    if settings is not None:
        values["evaluated"] = settings.to_dict()
    return write_text(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_per_image(evaluation: Evaluation, path: PathArgument) -> Path:
    """Write a row per image with its scores, and its IoU per class under "iou/NAME"; return the path.

    Raises:
        OSError: if the file cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    overall = list(evaluation.scores.overall)
    classes = [f"iou/{name}" for name in evaluation.labels.names]
    table.writerow(["name", "width", "height", *overall, "seconds", *classes])
    for image in evaluation.images:
        scores = [image.overall[name] for name in overall]
        values = [image.name, image.width, image.height, *scores, image.seconds, *image.iou]
        table.writerow([round(value, 6) if isinstance(value, float) else value for value in values])
    return write_text(path, text.getvalue())
