"""Stopping in good order when a person or a scheduler asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class TrainingStopped(Exception):  # noqa: N818 - nothing went wrong
    """The training was asked to stop, and has saved where it stands."""

    def __init__(self, signal_name: str, step: int) -> None:
        self.signal_name, self.step = signal_name, step
        super().__init__(f"{signal_name} after step {step}")


class StopSignals(Callback):
    """Notes SIGTERM and SIGINT while training; who saves checkpoints asks it. A second SIGINT stops at once.

    Args:
        on_message: shows a line to the user.

    Attributes:
        requested: the name of the signal that came, None for none.
    """

    def __init__(self, on_message: Callable[[str], None] | None = None) -> None:
        self.on_message = on_message
        self.requested: str | None = None
        self._trainer: Trainer | None = None

    def on_train_start(self, trainer: Trainer, _module: LightningModule) -> None:
        """Take over the signals; Lightning's own handler would talk to the other processes from inside of it.

        Lightning gives them back after the training, however it ends: to those who had them before it.
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
            launcher.kill(signal.SIGTERM)  # a terminal's Ctrl+C reaches them by itself
        if self.on_message is not None and not again:
            self.on_message(f"{self.requested}: saving a checkpoint, then stopping (Ctrl+C again stops at once)")
