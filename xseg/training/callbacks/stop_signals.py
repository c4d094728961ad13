"""Stopping after a signal from a user or a scheduler."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

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
