"""What happens at the end of every epoch: the table, the best classifier, the checkpoint to resume from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from xseg.bundles.bundle import NO_LABEL, Bundle, save_bundle
from xseg.data.loading.classification import Preprocessing
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.models.classifier import XceptionClassifier
from xseg.training.callbacks.assembly import StepSeed
from xseg.training.callbacks.epoch_table import Row, Tell, read_table, write_table
from xseg.training.callbacks.last_checkpoint import LastCheckpoint
from xseg.training.callbacks.moving_average import ExponentialMovingAverage
from xseg.training.callbacks.stop_signals import StopSignals
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.classification import ClassificationTask, Scores
from xseg.version import __version__


class EpochRows(Callback):
    """Write one row per epoch to a CSV, and tell each row.

    Columns: epoch (from 1), step, train/loss, train/accuracy, lr (of the epoch's last step), val/loss, val/accuracy,
    val/top5, seconds, images_per_second (of training alone); empty where an epoch was not validated. The file is
    replaced whole, and a resumed training keeps the rows of the epochs before it.

    Args:
        path: the CSV.
        tell: called after every epoch with the row, the number of epochs (None if endless) and the seconds left.
    """

    def __init__(self, path: Path, tell: Tell | None = None) -> None:
        self.path, self.tell = path, tell
        self._rows: list[Row] | None = None
        self._durations: list[float] = []
        self._images, self._lr, self._started = 0, 0.0, 0.0
        self._validating, self._validation_seconds = 0.0, 0.0

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Start the clock; before the first epoch, read what an earlier part of this training wrote."""
        if self._rows is None:
            self._rows = [row for row in read_table(self.path) if (row.get("epoch") or 0) <= trainer.current_epoch]
        self._started, self._validation_seconds, self._images = time.perf_counter(), 0.0, 0
        if isinstance(module, ClassificationTask):
            module.scores = None

    def on_train_batch_start(self, trainer: Trainer, _module: LightningModule, batch: Any, _index: int) -> None:
        """Note the rate, which after the step is the next step's, and count images over all devices."""
        self._lr = max(float(group["lr"]) for optimizer in trainer.optimizers for group in optimizer.param_groups)
        self._images += len(batch["target"]) * trainer.world_size

    def on_validation_start(self, _trainer: Trainer, _module: LightningModule) -> None:
        """Stop counting training time."""
        self._validating = time.perf_counter()

    def on_validation_end(self, _trainer: Trainer, _module: LightningModule) -> None:
        """Go on counting training time."""
        self._validation_seconds += time.perf_counter() - self._validating

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write and tell the epoch's row."""
        if not trainer.is_global_zero or self._rows is None or not isinstance(module, ClassificationTask):
            return
        row = self._row(trainer, module.scores)
        self._rows.append(row)
        write_table(self.path, self._rows)
        epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else None
        self._durations.append(float(row["seconds"] or 0.0))
        mean = sum(self._durations) / len(self._durations)
        if self.tell is not None:
            self.tell(row, epochs, None if epochs is None else (epochs - trainer.current_epoch - 1) * mean)

    def _row(self, trainer: Trainer, scores: Scores | None) -> Row:
        seconds = time.perf_counter() - self._started
        training = max(seconds - self._validation_seconds, 1e-9)
        measured = trainer.callback_metrics
        return {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "train/loss": float(measured["train/loss"]) if "train/loss" in measured else None,
            "train/accuracy": float(measured["train/accuracy"]) if "train/accuracy" in measured else None,
            "lr": self._lr,
            "val/loss": None if scores is None else scores.loss,
            "val/accuracy": None if scores is None else scores.accuracy,
            "val/top5": None if scores is None else scores.top5,
            "seconds": round(seconds, 3),
            "images_per_second": round(self._images / training, 3),
        }


class ClassifierAverage(ExponentialMovingAverage):
    """The moving average of a classifier's weights."""

    def averaged_classifier(self, task: ClassificationTask) -> XceptionClassifier:
        """Return the classifier with the averaged weights; before training, the task's own."""
        average = None if self._average_model is None else self._average_model.module
        return average.model if isinstance(average, ClassificationTask) else task.model


class BestClassifier(Callback):
    """Keep the classifier of the epoch with the highest val/accuracy; with averaged weights if there are any.

    Args:
        path: the bundle's folder, replaced whole.
        classes: their names.
        normalization: of the input.
        preprocessing: of validation images.
        provenance: what the bundle says about its weights' origin, beside epoch and score.
        average: the moving average of the weights, if there is one.
    """

    def __init__(
        self,
        path: Path,
        *,
        classes: tuple[str, ...],
        normalization: Normalization,
        preprocessing: Preprocessing,
        provenance: Mapping[str, Any],
        average: ClassifierAverage | None = None,
    ) -> None:
        self.path, self.classes, self.average = path, classes, average
        self.normalization, self.preprocessing = normalization, preprocessing
        self.provenance = {"xseg": __version__, **provenance}
        self.best: Scores | None = None
        self.accuracy: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"accuracy": self.accuracy}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint kept, unless its bundle is not here: then the next one is the best."""
        self.accuracy = state_dict["accuracy"] if self.path.is_dir() else None

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Save the classifier if the epoch is the best so far."""
        if not isinstance(module, ClassificationTask) or module.scores is None:
            return
        if self.accuracy is None or module.scores.accuracy > self.accuracy:
            self.accuracy, self.best = module.scores.accuracy, module.scores
            self._save(trainer, module)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Save the last weights if no epoch was validated."""
        if not self.path.is_dir() and isinstance(module, ClassificationTask):
            self._save(trainer, module)

    def _save(self, trainer: Trainer, task: ClassificationTask) -> None:
        if not trainer.is_global_zero:
            return
        model = task.model if self.average is None else self.average.averaged_classifier(task)
        provenance = {**self.provenance, "epoch": trainer.current_epoch + 1, "val_accuracy": self.accuracy}
        preprocessing = self.preprocessing.to_dict()
        labels = LabelMap(self.classes, ignore_index=NO_LABEL)
        save_bundle(Bundle(model, labels, self.normalization, provenance, preprocessing), self.path)


def epoch_callbacks(
    run: RunDirectory,
    best: BestClassifier,
    *,
    seed: int,
    tell: Tell | None = None,
    note: Callable[[str], None] | None = None,
) -> list[Callback]:
    """Return the callbacks that fill a run directory.

    Args:
        run: where they write.
        best: keeps the best classifier.
        seed: the training's seed.
        tell: called after every epoch; see `EpochRows`.
        note: shows a line to the user.
    """
    stop = StopSignals(note)
    average = [] if best.average is None else [best.average]
    last = LastCheckpoint(run.last_checkpoint, stop=stop)
    return [StepSeed(seed), stop, *average, EpochRows(run.metrics, tell), best, last]
