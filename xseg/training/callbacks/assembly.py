"""Assembly of the callbacks that write to the run directory and monitor the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from xseg.training.callbacks.best_bundles import BestBundles, ExponentialMovingAverage, Patience
from xseg.training.callbacks.epoch_table import EpochTable, OnEpoch
from xseg.training.callbacks.last_checkpoint import LastCheckpoint, StopSignals
from xseg.training.callbacks.pictures import ValidationPictures
from xseg.training.callbacks.watch import LossWatch, TrainingWatch
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.options.run import RunOptions
from xseg.version import __version__


class StepSeed(Callback):
    """Seed torch at every step, so that a resumed training has the same random numbers as an uninterrupted one.

    Args:
        seed: random seed of the training, 0 or more.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, _module: LightningModule, _batch: Any, index: int) -> None:
        """Seed torch's generators, for example for dropout, differently on each device."""
        key = (self.seed, trainer.current_epoch, index, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]))


def run_callbacks(
    run: RunDirectory,
    options: RunOptions,
    *,
    seed: int,
    main_score: str = "val/miou",
    ema_decay: float | None = None,
    provenance: Mapping[str, Any] | None = None,
    validation_names: Sequence[str] = (),
    on_epoch: OnEpoch | None = None,
    on_message: Callable[[str], None] | None = None,
) -> list[Callback]:
    """Return the callbacks that write to the run directory and monitor the training.

    `main_score` determines the best epoch if `options.monitor` is not set; some of the images in `validation_names`
    are drawn.
    """
    on_message = on_message or (lambda _line: None)
    average = None if ema_decay is None else ExponentialMovingAverage(ema_decay)
    table = EpochTable(run.metrics, on_epoch)
    watch = LossWatch(run.bad_batch, on_message)
    stop = StopSignals(on_message)
    best = BestBundles(run, options, provenance={"xseg": __version__, **(provenance or {})}, average=average)
    drawn = options.pictures and len(validation_names) > 0
    pictures = [ValidationPictures(run.pictures, validation_names, options.pictures)] if drawn else []
    monitor = options.monitor or main_score
    limit = options.early_stopping
    patience = [Patience(monitor, mode=options.mode, patience=limit)] if limit else []
    last = LastCheckpoint(
        run.last_checkpoint,
        steps=options.checkpoint_steps,
        minutes=options.checkpoint_minutes,
        stop=stop,
        before=watch.look,
    )
    return [
        StepSeed(seed),
        stop,
        watch,
        *([average] if average else []),
        table,
        best,
        TrainingWatch(table, on_message),
        *pictures,
        *patience,
        last,
    ]
