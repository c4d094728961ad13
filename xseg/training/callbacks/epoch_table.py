"""The table of a training: one row per epoch, in a file and to the user."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from xseg.files.atomic import write_text
from xseg.files.memory import peak_memory
from xseg.training.segmentation import SegmentationTask

Row = dict[str, float | int | None]
Tell = Callable[[Row, int | None, float | None], None]


class EpochTable(Callback):
    """Write one row per epoch to a CSV, and tell each row.

    Columns: epoch (from 1), step, train/loss, lr (of the epoch's last step), val/loss, val/miou, seconds,
    images_per_second (of training alone), data_wait (share of the training time spent waiting for images), memory_gb
    (highest use so far, of the GPU if there is one), and val/iou/CLASS; empty where an epoch was not validated or a
    class was not there. The file is replaced whole, and a resumed training keeps the rows of the epochs before it.

    Args:
        path: the CSV.
        tell: called after every epoch with the row, the number of epochs (None if endless) and the seconds left
            (None if unknown).
    """

    def __init__(self, path: Path, tell: Tell | None = None) -> None:
        self.path, self.tell = path, tell
        self.rows: list[Row] = []
        self._durations: list[float] = []
        self._clock = _Clock()
        self._images, self._lr = 0, 0.0
        self._validated = False

    def on_train_start(self, trainer: Trainer, _module: LightningModule) -> None:
        """Read what an earlier part of this training wrote; an epoch that is gone on with does not start."""
        self.rows = [row for row in read_table(self.path) if (row.get("epoch") or 0) <= trainer.current_epoch]
        self._begin()

    def on_train_epoch_start(self, _trainer: Trainer, _module: LightningModule) -> None:
        """Start the clock."""
        self._begin()

    def _begin(self) -> None:
        self._clock = _Clock()
        self._images, self._validated = 0, False

    def on_train_batch_start(self, trainer: Trainer, _module: LightningModule, _batch: Any, _index: int) -> None:
        """Note the rate: after the step it is the next step's."""
        self._clock.stop_waiting()
        self._lr = max(float(group["lr"]) for optimizer in trainer.optimizers for group in optimizer.param_groups)

    def on_train_batch_end(
        self, trainer: Trainer, _module: LightningModule, _outputs: Any, batch: Any, _index: int
    ) -> None:
        """Count images, over all devices."""
        self._images += len(batch["mask"]) * trainer.world_size
        self._clock.start_waiting()

    def on_validation_start(self, _trainer: Trainer, _module: LightningModule) -> None:
        """Stop counting training time."""
        self._clock.pause()

    def on_validation_end(self, trainer: Trainer, _module: LightningModule) -> None:
        """Go on counting training time."""
        self._validated = not trainer.sanity_checking
        self._clock.go_on()

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write and tell the epoch's row."""
        if not isinstance(module, SegmentationTask):
            return
        row = self._row(trainer, module)  # by all processes: what was measured is put together
        if not trainer.is_global_zero:
            return
        self.rows.append(row)
        write_table(self.path, self.rows)
        epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else None
        self._durations.append(float(row["seconds"] or 0.0))
        mean = sum(self._durations) / len(self._durations)
        left = None if epochs is None else (epochs - trainer.current_epoch - 1) * mean
        if self.tell is not None:
            self.tell(row, epochs, left)

    def _row(self, trainer: Trainer, task: SegmentationTask) -> Row:
        seconds, training, waiting = self._clock.read()
        measured = trainer.callback_metrics
        # Lightning keeps the values of earlier epochs: what this one did not measure must not be taken from there
        scores = task.scores if self._validated else None
        ious = [None] * len(task.labels) if scores is None else scores.per_class["iou"]
        return {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "train/loss": float(measured["train/loss"]) if "train/loss" in measured else None,
            "lr": self._lr,
            "val/loss": None if scores is None else float(measured["val/loss"]),
            "val/miou": None if scores is None else scores.overall["miou"],
            "seconds": round(seconds, 3),
            "images_per_second": round(self._images / training, 3) if training > 0 else None,
            "data_wait": round(waiting / training, 4) if training > 0 else None,
            "memory_gb": round(peak_memory(task.device) / 1e9, 3),
            **{f"val/iou/{name}": iou for name, iou in zip(task.labels.names, ious, strict=True)},
        }


class _Clock:
    """Seconds of an epoch: all, those of training, and those of training spent waiting for images."""

    def __init__(self) -> None:
        self._started = self._since = time.perf_counter()
        self._paused = self._waited = 0.0

    def start_waiting(self) -> None:
        self._since = time.perf_counter()

    def stop_waiting(self) -> None:
        self._waited += time.perf_counter() - self._since

    def pause(self) -> None:
        self._since = time.perf_counter()

    def go_on(self) -> None:
        now = time.perf_counter()
        self._paused += now - self._since
        self._since = now

    def read(self) -> tuple[float, float, float]:
        total = time.perf_counter() - self._started
        return total, total - self._paused, self._waited


def read_table(path: Path) -> list[Row]:
    """Return the rows of a table of epochs; none if there is no file. Empty cells are None."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(cell) if cell else None for name, cell in row.items()} for row in csv.DictReader(file)]


def write_table(path: Path, rows: list[Row]) -> None:
    """Write rows with the same columns as CSV, whole or not at all."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(row.get(name)) for name in columns} for row in rows)
    write_text(path, text.getvalue())


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.7g}"
