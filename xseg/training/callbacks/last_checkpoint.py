"""The last checkpoint: saved after every epoch, optionally inside epochs, and on a request to stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

AGREE_EVERY = 10  # steps between synchronisations of several processes, each of which waits for the GPU
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class TrainingStopped(Exception):  # noqa: N818 - not an error
    """The training stopped after a signal and saved a checkpoint."""

    def __init__(self, signal_name: str, step: int) -> None:
        self.signal_name, self.step = signal_name, step
        super().__init__(f"{signal_name} after step {step}")


class StopSignals(Callback):
    """Records SIGTERM and SIGINT during training, for the checkpoint callback; a second SIGINT stops immediately.

    Args:
        on_message: function that shows a line to the user.

    Attributes:
        requested: name of the received signal; None for none.
    """

    def __init__(self, on_message: Callable[[str], None] | None = None) -> None:
        self.on_message = on_message
        self.requested: str | None = None
        self._trainer: Trainer | None = None

    def on_train_start(self, trainer: Trainer, _module: LightningModule) -> None:
        """Replace Lightning's signal handlers, which would communicate with other processes inside the handler.

        Lightning restores the original handlers after the training, however it ends.
        """
        self._trainer = trainer
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        again = self.requested is not None
        self.requested = signal.Signals(number).name
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
        launcher = self._trainer.strategy.launcher if self._trainer is not None else None
        if number == signal.SIGTERM and not again and isinstance(launcher, _SubprocessScriptLauncher):
            launcher.kill(signal.SIGTERM)  # Ctrl+C in a terminal reaches all processes by itself
        if self.on_message is not None and not again:
            self.on_message(f"{self.requested}: saving a checkpoint, then stopping (Ctrl+C again stops at once)")


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
