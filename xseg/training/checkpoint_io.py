"""Checkpoints that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from xseg.inference.atomic import atomic_path


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its place and move it there.

    Lightning's own writes it to the system's temporary folder; where that is another disk, as it often is, moving it
    is copying it, and a training that is killed then loses the checkpoint that it was to resume from.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Save to a local file.

        Raises:
            OSError: if it cannot be written.
        """
        if storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        with atomic_path(path) as beside:
            torch.save(checkpoint, beside)
