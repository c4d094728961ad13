"""The last checkpoint: saved after every epoch, optionally inside epochs, and on a request to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from xseg.training.callbacks.stop_signals import StopSignals, TrainingStopped

AGREE_EVERY = 10  # steps between synchronisations of several processes, each of which waits for the GPU


class LastCheckpoint(Checkpoint):
    """Saves the state of the training. Lightning runs it after all other callbacks.

    Inside an epoch it saves only after an optimiser step, and never after the last batch of an epoch, from which
    Lightning would resume without validation. The end of the epoch is saved instead.

    Args:
        path: path of the checkpoint, replaced every time.
        steps: number of optimiser steps between checkpoints inside epochs; 0 for none.
        minutes: minutes between checkpoints inside epochs; 0 for none.
        stop: callback whose request to stop is followed at the next possible step; None for none.
        before: function that is called before saving, and raises if the state must not be saved.
    """

    def __init__(
        self,
        path: Path,
        *,
        steps: int = 0,
        minutes: float = 0.0,
        stop: StopSignals | None = None,
        before: Callable[[Trainer], None] | None = None,
    ) -> None:
        self.path, self.steps, self.minutes, self.stop, self.before = path, steps, minutes, stop, before
        self._saved = time.monotonic()

    def on_train_start(self, _trainer: Trainer, _module: LightningModule) -> None:
        """Start the clock."""
        self._saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, _module: LightningModule, _outputs: Any, _batch: Any, index: int
    ) -> None:
        """Save if a checkpoint is due, and stop if requested."""
        if trainer.is_last_batch or (index + 1) % trainer.accumulate_grad_batches:
            return
        due = bool(self.steps) and trainer.global_step % self.steps == 0
        passed = self._agree(trainer, self.minutes > 0 and time.monotonic() - self._saved >= 60 * self.minutes)
        asked = self._agree(trainer, self._asked)
        if passed or due or asked:
            self._save(trainer)
        if asked:
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: Trainer, _module: LightningModule) -> None:
        """Save, and stop if requested."""
        self._save(trainer)
        if self._agree(trainer, self._asked, every=1):
            self._stop(trainer)

    @property
    def _asked(self) -> bool:
        return self.stop is not None and self.stop.requested is not None

    def _agree(self, trainer: Trainer, wish: bool, *, every: int = AGREE_EVERY) -> bool:
        """Return whether any process requests it: clocks and signals differ, but all processes must save together."""
        if trainer.world_size == 1:
            return wish
        if trainer.global_step % every:
            return False
        return bool(trainer.strategy.reduce_boolean_decision(wish, all=False))

    def _save(self, trainer: Trainer) -> None:
        if self.before is not None:
            self.before(trainer)
        trainer.save_checkpoint(self.path)
        self._saved = time.monotonic()

    def _stop(self, trainer: Trainer) -> None:
        name = self.stop.requested if self.stop is not None and self.stop.requested else "another process"
        raise TrainingStopped(name, trainer.global_step)
