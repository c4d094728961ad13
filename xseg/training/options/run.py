"""What a training keeps, reports and guards against, as plain values; this docstring is the help. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from xseg.training.options.recipe import require

Mode: TypeAlias = Literal["max", "min"]


@dataclass(frozen=True)
class RunOptions:
    """What a training keeps, reports and guards against.

    Args:
        checkpoint_steps: save last.ckpt every so many optimiser steps, beside the end of every epoch; 0 for not.
        checkpoint_minutes: save last.ckpt when so many minutes have passed since it was last; 0 for not.
        metrics: what every validation measures beside mIoU: names in `xseg.metrics.registry.METRICS`, or class paths of
            your own, as [f1, metrics.py:MyMetric]; for segmentation only.
        monitor: what makes an epoch the best one: "val/miou", "val/loss", "val/iou/CLASS" or another metric as
            "val/boundary_iou" or "val/f1/CLASS"; for classification "val/accuracy", "val/loss" or "val/top5". Null for
            the first of them.
        mode: whether more ("max") or less ("min") of it is better.
        keep_top: number of bundles of the best epochs that are kept in top/, beside best/.
        patience: stop when the monitored value has not become better for so many validations; 0 for never.
        pictures: number of validation images that are drawn after every validation; for segmentation only.
        find_batch_size: before training, double data.batch_size until memory does not suffice, and take the largest
            that did, with a tenth of the memory to spare.
        memory_gb: most memory that finding a batch size may use; null for what is free.
        process_timeout: seconds after which a process that waits for another one gives up; several processes then end
            together, and can be resumed.
        accept_changed_data: resume from a checkpoint although the training images are not those that it has learnt
            from.

    Raises:
        ConfigError: if a value is out of range.
    """

    checkpoint_steps: int = 0
    checkpoint_minutes: float = 10.0
    metrics: tuple[str, ...] = ()
    monitor: str | None = None
    mode: Mode = "max"
    keep_top: int = 0
    patience: int = 0
    pictures: int = 4
    find_batch_size: bool = False
    memory_gb: float | None = None
    process_timeout: float = 60.0
    accept_changed_data: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", tuple(self.metrics))
        for name in ("checkpoint_steps", "checkpoint_minutes", "keep_top", "patience", "pictures"):
            require(getattr(self, name) >= 0, f"{name}={getattr(self, name)}", "0 or more")
        require(self.process_timeout > 0, f"process_timeout={self.process_timeout}", "above 0")
        require(self.memory_gb is None or self.memory_gb > 0, f"memory_gb={self.memory_gb}", "above 0, or null")
