"""Options of a training's checkpoints, reports and limits, and of a cross-validation, with help. Imports no torch."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

from xseg.errors import ConfigError
from xseg.training.options.recipe import require

LoggerName: TypeAlias = Literal["tensorboard", "csv", "wandb", "mlflow"]
Mode: TypeAlias = Literal["max", "min"]


@dataclass(frozen=True)
class RunOptions:
    """Checkpoints, reports and limits of a training.

    Args:
        checkpoint_steps: number of optimiser steps between saves of last.ckpt, in addition to the end of every epoch;
            0 for none.
        checkpoint_minutes: minutes between saves of last.ckpt; 0 for none.
        metrics: validation metrics in addition to mIoU: names in `xseg.metrics.registry.METRICS`, or class paths of
            your own, as [f1, metrics.py:MyMetric]; only for segmentation.
        monitor: value that determines the best epoch: "val/miou", "val/loss", "val/iou/CLASS" or another metric such
            as "val/boundary_iou" or "val/f1/CLASS"; for classification "val/accuracy", "val/loss" or "val/top5". Null
            for the first one.
        threshold: decision threshold stored with the best model, for two classes or the task multilabel: "none" for
            0.5; "best_f1" for the one with the highest F1 of each class in validation; "precision:0.9" for the one with
            the highest recall whose precision is at least 0.9.
        mode: whether a higher ("max") or lower ("min") value is better.
        keep_top: number of bundles of the best epochs to keep in top/, in addition to best/.
        early_stopping: number of validations without improvement of the monitored value after which the training stops;
            0 for no limit.
        logger: loggers of the measured values, one or a list: tensorboard, csv, wandb or mlflow; trainer.logger adds
            others. The project, server and keys of W&B and MLflow come from their own environment variables.
        pictures: number of validation images to draw after every validation; only for segmentation.
        find_batch_size: whether to search the largest batch size before training, by doubling data.batch_size; a tenth
            of the memory stays free.
        memory_gb: memory limit of the batch size search in GB; null for the free memory.
        process_timeout: seconds for which a process waits for another one; after that, all processes end and can be
            resumed.
        accept_changed_data: whether to resume from a checkpoint although the training images have changed.

    Raises:
        ConfigError: if a value is out of range.
    """

    checkpoint_steps: int = 0
    checkpoint_minutes: float = 10.0
    metrics: tuple[str, ...] = ()
    monitor: str | None = None
    threshold: str = "none"
    mode: Mode = "max"
    keep_top: int = 0
    early_stopping: int = 0
    logger: LoggerName | tuple[LoggerName, ...] = ("tensorboard",)
    pictures: int = 4
    find_batch_size: bool = False
    memory_gb: float | None = None
    process_timeout: float = 60.0
    accept_changed_data: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", tuple(self.metrics))
        for name in ("checkpoint_steps", "checkpoint_minutes", "keep_top", "early_stopping", "pictures"):
            require(getattr(self, name) >= 0, f"{name}={getattr(self, name)}", "0 or more")
        wanted = self.wanted_precision
        known = self.threshold in ("none", "best_f1") or (wanted is not None and 0 < wanted <= 1)
        expected = "none, best_f1, or precision: and a number, as in precision:0.9"
        require(known, f"threshold={self.threshold!r}", expected)
        require(self.process_timeout > 0, f"process_timeout={self.process_timeout}", "above 0")
        require(self.memory_gb is None or self.memory_gb > 0, f"memory_gb={self.memory_gb}", "above 0, or null")

    @property
    def wanted_precision(self) -> float | None:
        """Precision in `threshold`, if any."""
        name, _, number = self.threshold.partition(":")
        with suppress(ValueError):
            return float(number) if name == "precision" else None
        return None


@dataclass(frozen=True)
class CrossvalOptions:
    """Options of a cross-validation.

    Args:
        folds: number of folds, 2 or more.
        jobs: number of folds that are trained at once and share the cores; with Ray, of each machine.
        output_dir: folder for the folds' runs, folds.csv, the scores and a report.
        resume: auto to resume the cross-validation in output_dir, if there is one; finished folds are kept.
        overwrite: whether to replace an older cross-validation in output_dir.

    Raises:
        ConfigError: if a value is out of range.
    """

    folds: int = 5
    jobs: int = 1
    output_dir: str = "runs/crossval"
    resume: Literal["auto"] | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.folds < 2 or self.jobs < 1:
            raise ConfigError(f"folds={self.folds}, jobs={self.jobs}", expected="2 folds and 1 job, or more")
        if self.resume and self.overwrite:
            raise ConfigError("both resume and overwrite", expected="one of them")
