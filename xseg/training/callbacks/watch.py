"""Warnings about problems during training, with remedies."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from xseg.errors import DataError
from xseg.files.atomic import write_text
from xseg.training.base import BaseTask
from xseg.training.callbacks.epoch_table import EpochTable
from xseg.training.checkpoints.run_directory import RunDirectory

OnMessage = Callable[[str], None]
LOOK_EVERY = 10  # steps between checks of the losses on a GPU, as each check waits for it
EXPLOSION = 10.0  # ratio to the usual loss
EARLY = 20  # first steps, in which the losses of single batches vary strongly
UNTRAINED = 1.0  # typical loss of random weights, the lowest reference for early losses
WAIT_SHARE = 0.3  # share of the training time
WAIT_SECONDS = 1.0  # smallest waiting time per epoch for a warning
COLLAPSED = 0.999  # share of all pixels in one class
COLLAPSED_FOR = 2  # consecutive validations, as it is common and temporary after the first epoch


class LossWatch(Callback):
    """Stops a training with a NaN or infinite loss before anything is saved, and warns about exploding losses.

    Args:
        bad_batch: path of the file for the content of the batch.
        on_message: function that shows a line to the user.
    """

    def __init__(self, bad_batch: Path, on_message: OnMessage) -> None:
        self.bad_batch, self.on_message = bad_batch, on_message
        self._seen: list[tuple[int, Tensor, list[str]]] = []
        self._usual: float | None = None
        self._count = 0
        self._reported_epoch = -1

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, _index: int
    ) -> None:
        """Check the loss, on a GPU several losses at once."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self._seen.append((trainer.global_step, loss.detach(), list(batch.get("name", ()))))
        if module.device.type == "cpu" or len(self._seen) >= LOOK_EVERY or trainer.is_last_batch:
            self.look(trainer)

    def look(self, trainer: Trainer) -> None:
        """Check the losses since the last check.

        Raises:
            DataError: if a loss is NaN or infinite.
        """
        seen, self._seen = self._seen, []
        losses = torch.stack([loss for _, loss, _ in seen]).float().tolist() if seen else []
        for (step, _, names), loss in zip(seen, losses, strict=True):
            scaled = loss * trainer.accumulate_grad_batches  # Lightning divides the loss
            if not math.isfinite(scaled):
                self._stop(trainer, step, scaled, names)
            self._compare(trainer, step, scaled)

    def _compare(self, trainer: Trainer, step: int, loss: float) -> None:
        usual, self._count = self._usual, self._count + 1
        floor = UNTRAINED if self._count <= EARLY else 0.0
        if usual is not None and loss > EXPLOSION * max(usual, floor):
            if self._reported_epoch != trainer.current_epoch:
                self._reported_epoch = trainer.current_epoch
                self.on_message(
                    f"the loss explodes: {loss:.3g} at step {step}, usually {usual:.3g}; lower model.optimizer.lr, add "
                    "model.schedule.warmup_steps or trainer.gradient_clip_val"
                )
            return  # do not include unusual losses in the average
        self._usual = loss if usual is None else 0.95 * usual + 0.05 * loss

    def _stop(self, trainer: Trainer, step: int, loss: float, names: list[str]) -> None:
        rates = {group["name"]: group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups}
        values = {"step": step, "epoch": trainer.current_epoch + 1, "loss": str(loss), "images": names, "lr": rates}
        write_text(self.bad_batch, json.dumps({**values, "process": trainer.global_rank}, indent=2) + "\n")
        kept = RunDirectory(self.bad_batch.parent).last_checkpoint.is_file()
        module = trainer.lightning_module
        parts = module.loss_parts if isinstance(module, BaseTask) else {}
        bad = [name for name, value in parts.items() if not math.isfinite(float(value))] if len(parts) > 1 else []
        raise DataError(
            f"the loss is {loss} at step {step} (epoch {trainer.current_epoch + 1})"
            + (f", in {', '.join(bad)}" if bad else "")
            + f"; the images of the batch are listed in {self.bad_batch}",
            expected="a finite number",
            remedy="check these images; if they are fine, lower model.optimizer.lr, add trainer.gradient_clip_val "
            "or use another trainer.precision, and "
            + ("resume from last.ckpt, which was saved before" if kept else "start again: nothing was saved before"),
        )


class TrainingWatch(Callback):
    """Reports collapse to one class, unused parameters, waiting for data, and another rate after resuming.

    Args:
        table: table with the rows to check, which must come before this in the list of callbacks.
        on_message: function that shows a line to the user.
    """

    def __init__(self, table: EpochTable, on_message: OnMessage) -> None:
        self.table, self.on_message = table, on_message
        self._checked_gradients, self._reported_waiting, self._collapsed = False, False, 0

    def on_after_backward(self, trainer: Trainer, module: LightningModule) -> None:
        """Report parameters without gradients after the first backward pass."""
        if self._checked_gradients or not trainer.is_global_zero:
            return
        self._checked_gradients = True
        unused = [name for name, value in module.named_parameters() if value.requires_grad and value.grad is None]
        if unused:
            more = f" and {len(unused) - 3} more" if len(unused) > 3 else ""
            self.on_message(
                f"{len(unused)} parameters do not contribute to the loss ({', '.join(unused[:3])}{more}) and will not "
                "learn; with several processes, set trainer.strategy=ddp_find_unused_parameters_true"
            )

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Check the row and the scores of the epoch."""
        if not trainer.is_global_zero or not isinstance(module, BaseTask) or not self.table.rows:
            return
        row = self.table.rows[-1]
        if row[module.main_score] is not None:
            self._check_collapse(module)
        waited = row["data_wait"]
        long = waited is not None and waited * (row["seconds"] or 0.0) > WAIT_SECONDS
        if waited is not None and long and waited > WAIT_SHARE and not self._reported_waiting:
            self._reported_waiting = True
            self.on_message(
                f"{waited:.0%} of the training time was spent waiting for images; raise data.workers, set data.cache "
                "to disk, or store smaller images"
            )

    def _check_collapse(self, task: BaseTask) -> None:
        confusion = torch.tensor(task.confusion_counts(), dtype=torch.float64)
        if confusion.ndim < 2:  # overlapping classes
            return
        predicted, labelled = confusion.sum(dim=0), confusion.sum(dim=1)
        share, winner = (predicted / predicted.sum().clamp(min=1)).max(dim=0)
        collapsed = bool(share > COLLAPSED and labelled.max() < COLLAPSED * labelled.sum())
        self._collapsed = self._collapsed + 1 if collapsed else 0
        if self._collapsed == COLLAPSED_FOR:
            self.on_message(
                f"every {task.unit} is predicted as {task.labels.names[int(winner)]}: the model has collapsed to one "
                f"class; lower model.optimizer.lr, {task.balancing}, or train longer"
            )

    def on_train_start(self, trainer: Trainer, _module: LightningModule) -> None:
        """Report another rate of a resumed training with more or fewer steps, before the task applies the schedule."""
        for schedule in (config.scheduler for config in trainer.lr_scheduler_configs):
            if not isinstance(schedule, LambdaLR):
                continue
            step = schedule.last_epoch
            before = max(float(group["lr"]) for group in schedule.optimizer.param_groups)
            pairs = zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
            now = max(float(rate * factor(step)) for rate, factor in pairs)
            if not math.isclose(before, now, rel_tol=1e-6):
                self.on_message(
                    f"resuming {'raises' if now > before else 'lowers'} the learning rate from {before:.3g} to "
                    f"{now:.3g}: the schedule now ends after {trainer.estimated_stepping_batches} steps"
                )
