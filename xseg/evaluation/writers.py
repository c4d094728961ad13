"""Writers for scores: metrics.json, counts.json and per_image.csv."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from xseg.evaluation.evaluate import Evaluation
from xseg.evaluation.settings import EvaluationSettings
from xseg.files.atomic import write_text
from xseg.types import PathArgument

COUNTS_FILE = "counts.json"


def write_metrics(evaluation: Evaluation, path: PathArgument, settings: EvaluationSettings | None = None) -> Path:
    """Write the scores as JSON, with values from 0 to 1 and null for undefined scores, and return the path.

    Args:
        evaluation: results to write.
        path: path of the JSON file.
        settings: model, split, data and options, written as "evaluated".

    Raises:
        OSError: if the file cannot be written.
    """
    values = evaluation.scores.to_dict(evaluation.labels.names)
    if settings is not None:
        values["evaluated"] = settings.to_dict()
    return write_text(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_counts(evaluation: Evaluation, path: PathArgument) -> Path:
    """Write the counts from which the scores are computed as JSON, and return the path.

    Raises:
        OSError: if the file cannot be written.
    """
    return write_text(path, json.dumps({name: counts.tolist() for name, counts in evaluation.counts.items()}) + "\n")


def write_per_image(evaluation: Evaluation, path: PathArgument) -> Path:
    """Write one row per image with its scores, and its IoU per class as "iou/NAME"; return the path.

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
