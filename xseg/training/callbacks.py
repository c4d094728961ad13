"""What happens at the end of every epoch: the table, the best bundle, the checkpoint to resume from."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from xseg import __version__
from xseg.inference.atomic import write_text
from xseg.models.bundle import Bundle, save_bundle
from xseg.training.ema import ExponentialMovingAverage
from xseg.training.run_directory import RunDirectory
from xseg.training.task import SegmentationTask

Row = dict[str, float | int | None]


class StepSeed(Callback):
    """Seed torch at every step, so that a resumed training draws what an uninterrupted one would have drawn.

    Args:
        seed: the training's seed, 0 or more.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, _module: LightningModule, _batch: Any, index: int) -> None:
        """Seed dropout and whatever else draws from torch's generators, differently on each device."""
        key = (self.seed, trainer.current_epoch, index, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]))


class EpochTable(Callback):
    """Write one row per epoch to a CSV, and tell each row.

    Columns: epoch (from 1), step, train/loss, lr (of the epoch's last step), val/loss, val/miou, seconds,
    images_per_second (of training alone), and val/iou/CLASS; empty where an epoch was not validated or a class was not
    there. The file is replaced whole, and a resumed training keeps the rows of the epochs before it.

    Args:
        path: the CSV.
        tell: called after every epoch with the row, the number of epochs (None if endless) and the seconds left
            (None if unknown).
    """

    def __init__(self, path: Path, tell: Callable[[Row, int | None, float | None], None] | None = None) -> None:
        self.path, self.tell = path, tell
        self._rows: list[Row] | None = None
        self._durations: list[float] = []
        self._images, self._lr = 0, 0.0
        self._started = self._validating = self._validation_seconds = 0.0
        self._validated = False

    def on_train_epoch_start(self, trainer: Trainer, _module: LightningModule) -> None:
        """Start the clock; before the first epoch, read what an earlier part of this training wrote."""
        if self._rows is None:
            self._rows = [row for row in read_table(self.path) if (row.get("epoch") or 0) <= trainer.current_epoch]
        self._started, self._validation_seconds, self._images, self._validated = time.perf_counter(), 0.0, 0, False

    def on_train_batch_start(self, trainer: Trainer, _module: LightningModule, _batch: Any, _index: int) -> None:
        """Note the rate: after the step it is the next step's."""
        self._lr = max(float(group["lr"]) for optimizer in trainer.optimizers for group in optimizer.param_groups)

    def on_train_batch_end(
        self, trainer: Trainer, _module: LightningModule, _outputs: Any, batch: Any, _index: int
    ) -> None:
        """Count images, over all devices."""
        self._images += len(batch["mask"]) * trainer.world_size

    def on_validation_start(self, _trainer: Trainer, _module: LightningModule) -> None:
        """Stop counting training time."""
        self._validating = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, _module: LightningModule) -> None:
        """Go on counting training time."""
        self._validated = not trainer.sanity_checking
        self._validation_seconds += time.perf_counter() - self._validating

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write and tell the epoch's row."""
        if not trainer.is_global_zero or self._rows is None or not isinstance(module, SegmentationTask):
            return
        row = self._row(trainer, module)
        self._rows.append(row)
        write_table(self.path, self._rows)
        epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else None
        self._durations.append(float(row["seconds"] or 0.0))
        left = None if epochs is None else (epochs - trainer.current_epoch - 1) * _mean(self._durations)
        if self.tell is not None:
            self.tell(row, epochs, left)

    def _row(self, trainer: Trainer, task: SegmentationTask) -> Row:
        seconds = time.perf_counter() - self._started
        training = seconds - self._validation_seconds
        measured = trainer.callback_metrics
        # Lightning keeps the values of earlier epochs: what this one did not measure must not be taken from there
        scores = task.scores if self._validated else None
        ious = [None] * len(task.labels) if scores is None else [entry.iou for entry in scores.classes]
        return {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "train/loss": float(measured["train/loss"]) if "train/loss" in measured else None,
            "lr": self._lr,
            "val/loss": None if scores is None else float(measured["val/loss"]),
            "val/miou": None if scores is None else scores.miou,
            "seconds": round(seconds, 3),
            "images_per_second": round(self._images / training, 3) if training > 0 else None,
            **{f"val/iou/{name}": iou for name, iou in zip(task.labels.names, ious, strict=True)},
        }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


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


class BestBundle(Callback):
    """Keep the bundle of the epoch with the highest val/miou; with the averaged weights if there are any.

    Args:
        path: the bundle's folder, replaced whole.
        provenance: what the bundle says about its weights' origin, beside epoch and score.
        average: the moving average of the weights, if there is one.
    """

    def __init__(
        self, path: Path, provenance: Mapping[str, Any], average: ExponentialMovingAverage | None = None
    ) -> None:
        self.path, self.provenance, self.average = path, dict(provenance), average
        self.miou: float | None = None
        self._validated = False

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"miou": self.miou}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint kept, unless its bundle is not here: then the next one is the best."""
        self.miou = state_dict["miou"] if self.path.is_dir() else None

    def on_validation_end(self, trainer: Trainer, _module: LightningModule) -> None:
        """Note that the scores are this epoch's."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Save the bundle if the epoch is the best so far."""
        validated, self._validated = self._validated, False
        if not validated or not isinstance(module, SegmentationTask) or module.scores is None:
            return
        miou = module.scores.miou
        if self.miou is None or (miou is not None and miou > self.miou):
            self.miou = miou
            self._save(trainer, module, miou)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Save the last weights if no epoch was validated."""
        if not self.path.is_dir() and isinstance(module, SegmentationTask):
            self._save(trainer, module, None)

    def _save(self, trainer: Trainer, task: SegmentationTask, miou: float | None) -> None:
        if not trainer.is_global_zero:
            return
        model = task.model if self.average is None else self.average.averaged(task)
        provenance = {**self.provenance, "epoch": trainer.current_epoch + 1, "val_miou": miou}
        bundle = Bundle(model, task.labels, task.normalization, provenance)
        save_bundle(bundle, self.path)


def epoch_callbacks(
    run: RunDirectory,
    *,
    seed: int,
    ema_decay: float | None,
    provenance: Mapping[str, Any],
    tell: Callable[[Row, int | None, float | None], None] | None,
) -> list[Callback]:
    """Return the callbacks that fill a run directory.

    Args:
        run: where they write.
        seed: the training's seed.
        ema_decay: of the moving average of the weights; None for none.
        provenance: what the best bundle says about its weights' origin.
        tell: called after every epoch; see `EpochTable`.
    """
    average = None if ema_decay is None else ExponentialMovingAverage(ema_decay)
    last = ModelCheckpoint(
        dirpath=run.path,
        filename=run.last_checkpoint.stem,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    origin = {"xseg": __version__, **provenance}
    best = BestBundle(run.best, origin, average)
    table = EpochTable(run.metrics, tell)
    return [StepSeed(seed), *([] if average is None else [average]), table, best, last]
