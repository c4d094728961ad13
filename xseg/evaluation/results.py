"""Files of an evaluation: scores as metrics.json, counts.json and per_image.csv, with the settings that gave them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xseg.data.options import DataOptions
from xseg.errors import ConfigError
from xseg.files.atomic import write_table, write_text
from xseg.files.objects import absolute_class_path
from xseg.inference.options import InferenceOptions
from xseg.types import PathArgument, Split

if TYPE_CHECKING:
    from xseg.evaluation.evaluate import Evaluation

METRICS_FILE, COUNTS_FILE = "metrics.json", "counts.json"
_NO_EFFECT = ("batch_size", "device", "background")  # options that change speed or pictures, not the scores


@dataclass(frozen=True)
class EvaluationSettings:
    """Model, data and options of an evaluation.

    Args:
        model: path of a run or a bundle, or Hub id.
        split: train, val or test.
        data: data options.
        inference: inference options.
        metrics: class paths of further metrics.
    """

    model: str
    split: Split
    data: DataOptions
    inference: InferenceOptions
    metrics: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold, with existing paths made absolute."""
        data = {name: getattr(self.data, name) for name in ("reader", "root", "channels")}
        options = {name: value for name, value in asdict(self.inference).items() if name not in _NO_EFFECT}
        values = {
            "model": _absolute(self.model),
            "split": self.split,
            "data": {**data, "root": _absolute(self.data.root), "layout": asdict(self.data.layout)},
            "options": options,
            "metrics": [absolute_class_path(path) for path in self.metrics],
        }
        plain: dict[str, Any] = json.loads(json.dumps(values))  # tuples become lists, as in the file to compare with
        return plain

    def require_same(self, directory: PathArgument) -> None:
        """Refuse to overwrite the scores of another evaluation in a folder.

        Raises:
            ConfigError: if the folder holds scores of another model, split or data set, or with other options.
        """
        path = Path(directory) / METRICS_FILE
        if not path.is_file():
            return
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))["evaluated"]
        except (OSError, ValueError, KeyError, TypeError):
            earlier = None
        differing = difference(earlier, self.to_dict())
        if differing is not None:
            raise ConfigError(
                f"{path} holds the scores of another evaluation ({differing})",
                expected="a new folder, or the same model, split, data and options",
                remedy="choose another with --output_dir, or add --overwrite",
            )


def difference(earlier: Any, now: Any, name: str = "") -> str | None:
    """Return the first difference between nested values as "name: earlier, now ..."; None if they are equal."""
    if not (isinstance(earlier, dict) and isinstance(now, dict)):
        return None if earlier == now else f"{name or 'settings'}: {earlier if earlier else 'unknown'}, now {now}"
    for key in [*now, *(key for key in earlier if key not in now)]:
        found = difference(earlier.get(key), now.get(key), f"{name}.{key}".removeprefix("."))
        if found is not None:
            return found
    return None


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path and Path(path).exists() else path


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


def write_per_image(evaluation: Evaluation, path: PathArgument) -> Path:
    """Write one row per image with its scores, and its IoU per class as "iou/NAME"; return the path.

    Raises:
        OSError: if the file cannot be written.
    """
    names = [f"iou/{name}" for name in evaluation.labels.names]
    rows = []
    for image in evaluation.images:
        known = {"name": image.name, "width": image.width, "height": image.height, **image.overall}
        row: dict[str, Any] = {**known, "seconds": image.seconds, **dict(zip(names, image.iou, strict=True))}
        rows.append({name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()})
    return write_table(path, rows)
