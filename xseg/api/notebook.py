"""Progress of a training in a notebook."""

from __future__ import annotations

import math
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from xseg.api.progress import NotebookProgress


class NotebookEpoch(Callback):
    """Shows the batches of an epoch as one line that changes; the line of the finished epoch replaces it."""

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Start a line, as a resumed epoch has no start."""
        self.on_train_epoch_start(trainer, module)

    def on_train_epoch_start(self, trainer: Trainer, _module: LightningModule) -> None:
        """Start a line."""
        batches = trainer.num_training_batches
        total = int(batches) if math.isfinite(batches) else 0
        self._progress = NotebookProgress(f"epoch {trainer.current_epoch + 1}", total, "batches")

    def on_train_batch_end(
        self, _trainer: Trainer, _module: LightningModule, _outputs: Any, _batch: Any, _index: int
    ) -> None:
        """Count a batch."""
        self._progress.advance()
