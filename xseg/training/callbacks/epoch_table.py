"""Table of a training with one row per epoch, in a file and for the user."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from xseg.files.atomic import write_table
from xseg.files.memory import peak_memory
from xseg.training.base import BaseTask

Row = dict[str, float | int | None]
OnEpoch = Callable[[Row, int | None, float | None], None]


class EpochTable(Callback):
    """Writes one row per epoch to a CSV file, and reports each row.

    Columns: epoch (from 1), step, train/loss and other training values, lr (at the last step of the epoch), val/loss,
    the scores, seconds, images_per_second (training only), data_wait (share of training time spent waiting for images),
    memory_gb (peak so far, of the GPU if any), and the scores of each class. Cells are empty for epochs without
    validation and for undefined scores. The file is replaced atomically, and a resumed training keeps earlier rows.

    Args:
        path: path of the CSV file.
        on_epoch: function that is called after every epoch with the row, the number of epochs (None if endless) and the
            seconds left (None if unknown).
    """

    def __init__(self, path: Path, on_epoch: OnEpoch | None = None) -> None:
        self.path, self.on_epoch = path, on_epoch
        self.rows: list[Row] = []
        self._durations: list[float] = []
        self._lr = 0.0
        self._begin()

    def on_train_start(self, trainer: Trainer, _module: LightningModule) -> None:
        """Read the rows of an earlier part of this training; a resumed epoch has no start."""
        self.rows = [row for row in read_table(self.path) if (row.get("epoch") or 0) <= trainer.current_epoch]
        self._begin()

    def on_train_epoch_start(self, _trainer: Trainer, _module: LightningModule) -> None:
        """Start the clock."""
        self._begin()

    def _begin(self) -> None:
        self._started = self._since = time.perf_counter()
        self._paused = self._waited = 0.0  # seconds outside training, and of training without an image
        self._images, self._validated = 0, False

    def on_train_batch_start(self, trainer: Trainer, _module: LightningModule, _batch: Any, _index: int) -> None:
        """Record the rate before the schedule changes it after the step."""
        self._waited += time.perf_counter() - self._since
        self._lr = max(float(group["lr"]) for optimizer in trainer.optimizers for group in optimizer.param_groups)

    def on_train_batch_end(
        self, trainer: Trainer, _module: LightningModule, _outputs: Any, batch: Any, _index: int
    ) -> None:
        """Count images, over all devices."""
        self._images += len(batch["image"]) * trainer.world_size
        self._since = time.perf_counter()

    def on_validation_start(self, _trainer: Trainer, _module: LightningModule) -> None:
        """Stop counting training time."""
        self._since = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, _module: LightningModule) -> None:
        """Count training time again."""
        self._validated = not trainer.sanity_checking
        now = time.perf_counter()
        self._paused, self._since = self._paused + now - self._since, now

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write and report the row of the epoch."""
        if not isinstance(module, BaseTask):
            return
        row = self._row(trainer, module)  # in all processes, as it combines their measurements
        if not trainer.is_global_zero:
            return
        self.rows.append(row)
        write_table(self.path, [{name: _cell(value) for name, value in row.items()} for row in self.rows])
        epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else None
        self._durations.append(float(row["seconds"] or 0.0))
        mean = sum(self._durations) / len(self._durations)
        left = None if epochs is None else (epochs - trainer.current_epoch - 1) * mean
        if self.on_epoch is not None:
            self.on_epoch(row, epochs, left)

    def _row(self, trainer: Trainer, task: BaseTask) -> Row:
        seconds = time.perf_counter() - self._started
        training = seconds - self._paused
        # Lightning keeps values of earlier epochs, which must not be used if this epoch did not measure them
        measured = task.measured() if self._validated else dict.fromkeys(["val/loss", *task.score_names()])
        return {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            **task.measured_in_training(),
            "lr": self._lr,
            **{name: value for name, value in measured.items() if not _is_of_a_class(name)},
            "seconds": round(seconds, 3),
            "images_per_second": round(self._images / training, 3) if training > 0 else None,
            "data_wait": round(self._waited / training, 4) if training > 0 else None,
            "memory_gb": round(peak_memory(task.device) / 1e9, 3),
            **{name: value for name, value in measured.items() if _is_of_a_class(name)},
        }


def _is_of_a_class(name: str) -> bool:
    """Return whether a score belongs to a class: "val/iou/car", not "val/miou"."""
    return name.count("/") > 1


def read_table(path: Path) -> list[Row]:
    """Return the rows of a table of epochs; none if there is no file. Empty cells are None."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(cell) if cell else None for name, cell in row.items()} for row in csv.DictReader(file)]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.7g}"
