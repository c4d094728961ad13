"""Report of an evaluation as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from xseg.errors import DataError
from xseg.evaluation.evaluate import Evaluation, Example
from xseg.files.atomic import write_text
from xseg.images.overlay import Pixels, blend, hatch_ignored
from xseg.inference.predictor import Predictor
from xseg.labels.label_map import LabelMap
from xseg.models.segmentation import SegmentationModel
from xseg.reports.history import History, draw_charts, read_history
from xseg.reports.pages import NUMBERED_CLASSES, confusion_cells, format_count, render_page
from xseg.types import PathArgument

LEARNING_PICTURES = 4  # pictures of the same images over a training


def write_report(
    evaluation: Evaluation,
    path: PathArgument,
    *,
    title: str,
    summary: Mapping[str, str] | None = None,
    history: PathArgument | None = None,
) -> None:
    """Write the report, completely or not at all. The page is self-contained and needs no network.

    Args:
        evaluation: results to report.
        path: path of the HTML file.
        title: heading of the page, for example the name of the model.
        summary: properties of model and data for the head of the page, by name.
        history: metrics.csv of a training, for curves and a few of the pictures in pictures/ beside it.

    Raises:
        DataError: if the history cannot be read.
        OSError: if the file cannot be written.
    """
    curves = None if history is None else read_history(history)
    pictures = [] if history is None else select_pictures(Path(history).parent / "pictures")
    page = render_report(evaluation, title=title, summary=summary or {}, history=curves, pictures=pictures)
    write_text(path, page)


def render_report(
    evaluation: Evaluation,
    *,
    title: str,
    summary: Mapping[str, str],
    history: History | None = None,
    pictures: Sequence[Path] = (),
) -> str:
    """Return the report as HTML; see `write_report`."""
    scores, labels = evaluation.scores, evaluation.labels
    total = sum(scores.pixels)
    wholes = [sum(numbers.values()) for numbers in scores.outcomes] or [total] * len(labels)
    columns = [metric for metric in evaluation.metrics if metric.has_classes() and metric.shown]
    images = format_count(len(evaluation.images))
    values = {
        "title": title,
        "summary": {
            **summary,
            "Labelled pixels": format_count(total),
            "Time": f"{evaluation.seconds:.1f} s for {images} images, scoring included",
        },
        "evaluation": evaluation,
        "scores": scores,
        "overall": [
            (metric.overall_heading(), scores.overall[key])
            for metric in evaluation.metrics
            if (key := metric.overall_key()) is not None
        ],
        "columns": [
            (metric.heading(), scores.overall.get(metric.overall_key() or ""), scores.per_class[metric.name])
            for metric in columns
        ],
        "classes": list(zip(labels.names, labels.colors, scores.pixels, scores.per_class["iou"], strict=True)),
        "names": labels.names,
        "background": labels.background_id,
        "outcomes": scores.outcomes,
        "total": total,
        "shares": [pixels / whole if whole else None for pixels, whole in zip(scores.pixels, wholes, strict=True)],
        "charts": draw_charts(history) if history else [],
        "learning": [(f"epoch {int(file.stem.rpartition('_')[2])}", read_picture(file)) for file in pictures],
        "confusion": confusion_cells(scores.confusion, labels.names, "pixels"),
        "numbered": len(labels) <= NUMBERED_CLASSES,
        "groups": [
            ("Worst pictures", [_pictures(example, labels) for example in evaluation.worst]),
            ("Best pictures", [_pictures(example, labels) for example in evaluation.best]),
        ],
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    }
    return render_page("evaluation.html", values)


def select_pictures(folder: Path) -> list[Path]:
    """Return a few pictures of a training in order, including the first and the last; none if there are none."""
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
        raise DataError(f"{file} cannot be read: {error}", expected="a picture written by the training") from error


def _pictures(example: Example, labels: LabelMap) -> dict[str, Any]:
    """Return name, mean IoU, None without labelled pixels, and pictures, (H, W, 3) uint8, of one image of the split."""
    label = blend(example.image, example.label, labels)
    return {
        "name": example.score.name,
        "score": example.score.miou,
        "image": example.image,
        "label": hatch_ignored(label, example.label, labels.ignore_index),
        "prediction": blend(example.image, example.prediction, labels),
    }


def summarize_model(predictor: Predictor) -> dict[str, str]:
    """Return properties of the model and its inference settings by readable name."""
    model, options = predictor.model, predictor.options
    models = [*model] if isinstance(model, nn.ModuleList) else [model]
    configs = [one.config for one in models if isinstance(one, SegmentationModel)]
    encoders = [each.encoder if each.width == 1 else f"{each.encoder}, width {each.width:g}" for each in configs]
    summary = {
        "Models": str(len(models)) if len(models) > 1 else "",
        "Architecture": " / ".join(dict.fromkeys(each.architecture for each in configs)),
        "Encoder": " / ".join(dict.fromkeys(encoders)),
        "Output stride": " / ".join(dict.fromkeys(str(each.output_stride) for each in configs)),
    }
    summary = {name: value for name, value in summary.items() if value}
    summary["Parameters"] = f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2f} million"
    limits = predictor.decision.thresholds
    if limits:
        names = predictor.labels.names if predictor.labels.overlapping else predictor.labels.names[1:]
        summary["Thresholds"] = ", ".join(f"{name} {limit:.3g}" for name, limit in zip(names, limits, strict=True))
    sizes = ", ".join(f"{scale:g}" for scale in options.scales)
    more = (", mirror images" if options.flip else "") + (", quarter turns" if options.rotations else "")
    if options.scales != (1.0,) or more:
        summary["Averaged over"] = f"scales {sizes}{more}"
    device = predictor.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    summary["Computed in"] = f"{predictor.backend.precision} on {name}"
    return summary
