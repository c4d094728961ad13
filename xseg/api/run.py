"""A training's run directory in Python."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from xseg.api.data import DataSource
from xseg.errors import ConfigError
from xseg.files.html import html_table
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.types import PathArgument, Split

if TYPE_CHECKING:
    from xseg.evaluation.evaluate import Evaluation
    from xseg.inference.predictor import Predictor
    from xseg.metrics.registry import MetricSource
    from xseg.training.callbacks.epoch_table import Row

SHOWN = ("epoch", "train/loss", "val/loss", "val/miou", "val/accuracy", "lr", "seconds")


@dataclass(frozen=True)
class BestEpoch:
    """The best epoch of a training: its number, from 1, its score, and its bundle."""

    epoch: int
    score: float | None
    path: Path


class Run:
    """A training, finished or not, in its run directory.

    Args:
        path: run directory.
        architecture: class path of your own decoder or model, if it has one.
        objects: what the training in this process was given, kept for `evaluate` and `predictor`.

    Raises:
        ConfigError: if the folder is not a run.
    """

    def __init__(self, path: PathArgument, *, architecture: str | None = None, objects: Any = None) -> None:
        self.path, self.architecture, self._objects = Path(path).absolute(), architecture, objects
        self._files = RunDirectory(self.path)
        if not self._files.config.is_file():
            raise ConfigError(f"{self.path} has no {self._files.config.name}", expected="a run directory")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def config(self) -> dict[str, Any]:
        """Options of the training, as in config.yaml."""
        values: dict[str, Any] = yaml.safe_load(self._files.config.read_text(encoding="utf-8"))
        return values

    @property
    def history(self) -> list[Row]:
        """One row per epoch, with the columns of metrics.csv; None for an empty cell."""
        from xseg.training.callbacks.epoch_table import read_table

        return read_table(self._files.metrics)

    @property
    def best(self) -> BestEpoch:
        """The best epoch.

        Raises:
            ConfigError: if no epoch is finished.
        """
        path = self._files.best / "config.json"
        if not path.is_file():
            raise ConfigError(f"{self.path} has no best/", expected="a run with a finished epoch")
        epoch = int(json.loads(path.read_text(encoding="utf-8"))["provenance"]["epoch"])
        config = self.config
        main = "val/accuracy" if config["task"] == "classification" else "val/miou"
        row = next((row for row in self.history if row["epoch"] == epoch), {})
        return BestEpoch(epoch, row.get(config["run"]["monitor"] or main), path.parent)

    def evaluate(
        self,
        split: Split = "val",
        *,
        data: DataSource | None = None,
        metrics: Sequence[MetricSource] | None = None,
        output_dir: PathArgument | None = None,
        overwrite: bool = False,
        quiet: bool = False,
    ) -> Evaluation:
        """Evaluate the best epoch on a split, by default with the training's metrics; see also `xseg.evaluate`."""
        from xseg.api.evaluation import evaluate

        config = self.config
        if config["task"] == "classification":
            remedy = f"its scores are in history and {self._files.report.name}"
            raise ConfigError(f"{self.path} is the run of a classifier", expected="segmentation", remedy=remedy)
        return evaluate(
            self.path,
            data=data,
            split=split,
            metrics=config["run"]["metrics"] if metrics is None else metrics,
            output_dir=output_dir,
            overwrite=overwrite,
            quiet=quiet,
            architecture=self.architecture,
        )

    def predictor(self, *, device: str = "auto") -> Predictor:
        """Return the predictor of the best epoch; see also `xseg.load`."""
        from xseg.inference.loading import load

        return load(self.path, device=device, architecture=self.architecture)

    def _repr_html_(self) -> str:
        """Return the table of the epochs."""
        rows = self.history
        names = [name for name in SHOWN if any(row.get(name) is not None for row in rows)]
        found = f", best {self.best.epoch}" if (self._files.best / "config.json").is_file() else ""
        return html_table(
            f"{self.path}: epochs {len(rows)}{found}", names, [[row[name] for name in names] for row in rows]
        )
