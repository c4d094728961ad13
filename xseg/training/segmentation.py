"""A segmentation model as something that Lightning trains and validates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TypeAlias

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, distributed
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torchmetrics.classification import MulticlassConfusionMatrix

from xseg.data.loading.datamodule import SegmentationData
from xseg.files.objects import is_class_path
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.metrics.registry import create_metrics
from xseg.metrics.scores import CONFUSION, Scores, compute_scores
from xseg.models.config import ModelConfig
from xseg.training.auxiliary import AuxiliaryHead
from xseg.training.batch_norm import normalization_layers
from xseg.training.construction import construct_model, restored_model
from xseg.training.objective import Objective
from xseg.training.optimizers import build_optimizer, build_schedule, encoder_blocks
from xseg.training.options.task import TaskOptions
from xseg.training.running_mean import RunningMean
from xseg.training.schedule import rate_factor

Batch: TypeAlias = dict[str, Any]
STATE_KEY = "xseg"  # of a checkpoint: what the model is, as plain values


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of a scalar over the processes that train together; without others, the scalar."""
    if not distributed.is_initialized():
        return value
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


class SegmentationTask(LightningModule):
    """A model with its loss, its optimiser and its validation scores.

    Batches are `{"image": float32 (N, C, H, W), normalised; "mask": int64 (N, H, W), "name": one per image}`. Logs
    lr and lr/PART at every step, and train/loss, val/loss, val/miou and val/iou/CLASS once an epoch.

    Args:
        options: the model and how it learns.
        labels: the classes.
        normalization: how stored pixels become the batches' images; kept to be saved with the weights.
        in_channels: channels of an image.
        class_weights: weight in the cross-entropy per class; None for 1.
        batch_size: images per step and process, for rates that follow it.
        restored: what the model of a checkpoint is made of, whose weights follow; None for a new training.
        identity: further plain values that checkpoints keep, to tell later whether they fit.

    Attributes:
        statistics_frozen: whether the means and variances of the encoder's normalisations stay; set before training.
        scores: of the last validation.
    """

    def __init__(
        self,
        options: TaskOptions,
        labels: LabelMap,
        normalization: Normalization,
        *,
        in_channels: int,
        class_weights: Sequence[float] | None = None,
        batch_size: int = 1,
        restored: ModelConfig | None = None,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.options, self.labels, self.normalization = options, labels, normalization
        self.batch_size, self.identity = batch_size, dict(identity or {})
        if restored is None:
            self.model = construct_model(options, labels, in_channels=in_channels)
        else:
            self.model = restored_model(options, restored)
        self.auxiliary = AuxiliaryHead(self.model) if options.loss.auxiliary > 0 else None
        for block in encoder_blocks(self.model)[: options.freeze_encoder_blocks]:
            block.requires_grad_(False)
        self.objective = Objective(
            options.loss,
            classes=len(labels),
            ignore_index=labels.ignore_index,
            class_weights=None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32),
            across=mean_over_processes,
        )
        # not validated per batch (it sorts every pixel); readers and their checks refuse labels out of range
        self.confusion = MulticlassConfusionMatrix(
            len(labels), ignore_index=labels.ignore_index, validate_args=False, compute_with_cache=False
        )
        self.mean_loss, self.validation_loss = RunningMean(), RunningMean()
        self.statistics_frozen = options.batch_norm == "frozen"
        self.scores: Scores | None = None
        self._restored_loss: Sequence[float] | None = None
        self._epoch_done = False

    @property
    def images_per_step(self) -> int:
        """Number of images that the optimiser sees per step, over all processes and accumulated batches."""
        return self.batch_size * self.trainer.world_size * self.trainer.accumulate_grad_batches

    @property
    def encoder_rests(self) -> bool:
        """Whether the encoder does not learn in this epoch."""
        return self.current_epoch < self.options.freeze_encoder_epochs

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes, H, W) of normalised images (N, C, H, W)."""
        if self.options.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.model(images)
        return logits

    def loss(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the loss over the labelled pixels, of all of them: logits (N, classes, H, W), mask (N, H, W) int64."""
        loss: Tensor = self.objective(logits, mask)
        return loss

    def train(self, mode: bool = True) -> SegmentationTask:
        """Change between training and evaluation; what is frozen stays in evaluation."""
        super().train(mode)
        if mode:
            resting = self._trainer is not None and self.encoder_rests
            blocks = encoder_blocks(self.model)
            frozen = blocks if self.statistics_frozen or resting else blocks[: self.options.freeze_encoder_blocks]
            for layer in (layer for block in frozen for layer in normalization_layers(block)):
                layer.eval()  # statistics stay; scale and shift still learn, as in TF DeepLab
        return self

    def on_fit_start(self) -> None:
        """Compile the network, if that was asked for; the averaged copy of it is not."""
        if self.options.compile:
            self.model.compile()

    def on_train_start(self) -> None:
        """Set the rates by the schedule of now: a checkpoint of a shorter training brings that one's, 0 at its end."""
        schedule = self.lr_schedulers()
        if isinstance(schedule, LambdaLR):
            groups = schedule.optimizer.param_groups
            for group, rate, factor in zip(groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
                group["lr"] = rate * factor(schedule.last_epoch)
        if self._restored_loss is not None and self.global_rank == 0:
            self.mean_loss.go_on_from(self._restored_loss)
        self.on_train_epoch_start()  # an epoch that is gone on with does not start

    def on_train_epoch_start(self) -> None:
        """Put layers into the mode they train in."""
        self._epoch_done = False
        self.train()
        if self.options.freeze_encoder_epochs and self.trainer.world_size == 1:
            # spares the backward pass; several processes have agreed on their parameters before the first step
            for block in encoder_blocks(self.model)[self.options.freeze_encoder_blocks :]:
                block.requires_grad_(not self.encoder_rests)

    def on_before_optimizer_step(self, _optimizer: Optimizer) -> None:
        """Keep the optimiser from a resting encoder: without gradients not even its momentum moves."""
        if self.encoder_rests:
            for parameter in self.model.encoder.parameters():
                parameter.grad = None

    def on_train_epoch_end(self) -> None:
        """Note that a checkpoint of now has no epoch to go on with."""
        self._epoch_done = True

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the loss of a batch."""
        mask = batch["mask"]
        loss: Tensor = self.objective(self(batch["image"]), mask, self.global_step)
        if self.auxiliary is not None:
            scores = self.auxiliary(*mask.shape[-2:])
            loss = loss + self.options.loss.auxiliary * self.objective(scores, mask, self.global_step)
        self.mean_loss.update(loss.detach(), len(mask))
        self.log("train/loss", self.mean_loss, on_step=False, on_epoch=True)
        self.log("loss", loss.detach(), prog_bar=True, logger=False, on_step=True, on_epoch=False)
        self._log_rates()
        return loss

    def _log_rates(self) -> None:
        """Log the highest rate, and that of each part."""
        rates: dict[str, float] = {}
        for group in (group for optimizer in self.trainer.optimizers for group in optimizer.param_groups):
            for name in ("lr", f"lr/{group['name'].partition('/')[0]}"):
                rates[name] = max(rates.get(name, 0.0), float(group["lr"]))
        self.log_dict(rates, on_step=True, on_epoch=False)

    def on_validation_epoch_start(self) -> None:
        """Give every process the same running statistics: each has seen its own images since the last exchange."""
        if distributed.is_initialized():
            for buffer in self.model.buffers():
                distributed.broadcast(buffer, src=0)

    def validation_step(self, batch: Batch, _index: int) -> Tensor:
        """Count right and wrong pixels of a batch.

        Returns:
            The predicted classes, (N, H, W) int64.
        """
        logits, mask = self(batch["image"]), batch["mask"]
        # image by image: a mean over the batch's pixels would depend on which images share a batch
        for index in range(len(mask)):
            self.validation_loss.update(self.loss(logits[index : index + 1], mask[index : index + 1]))
        self.log("val/loss", self.validation_loss, on_epoch=True, on_step=False)
        prediction: Tensor = logits.argmax(dim=1)
        self.confusion.update(prediction, mask)
        return prediction

    def on_validation_epoch_end(self) -> None:
        """Turn the counts of all processes into scores; a class that is nowhere is not logged."""
        metrics = create_metrics((), classes=len(self.labels), ignore_index=self.labels.ignore_index)
        self.scores = compute_scores(metrics, {CONFUSION: self.confusion.compute().cpu().numpy()})
        self.confusion.reset()
        if self.scores.overall["miou"] is not None:
            self.log("val/miou", self.scores.overall["miou"], prog_bar=True)
        for name, iou in zip(self.labels.names, self.scores.per_class["iou"], strict=True):
            if iou is not None:
                self.log(f"val/iou/{name}", iou)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimiser, and the schedule that moves its rates at every step."""
        options = self.options.optimizer
        scale = 1.0 if options.reference_batch is None else self.images_per_step / options.reference_batch
        optimizer = build_optimizer(self.model, options, auxiliary=self.auxiliary, scale=scale)
        steps = int(min(self.trainer.estimated_stepping_batches, 2**62))  # endless training has infinite steps
        schedule: LRScheduler
        if is_class_path(self.options.schedule.name):
            schedule = build_schedule(optimizer, self.options.schedule, steps=steps)
        else:
            batches = max(1, int(min(self.trainer.num_training_batches, 2**62)))
            highest = max(options.lr, options.encoder_lr or 0.0) if options.lr == 0 else options.lr
            factor = partial(
                rate_factor,
                options=self.options.schedule,
                steps=steps,
                lr=highest * scale,
                steps_per_epoch=batches / self.trainer.accumulate_grad_batches,
                images_per_step=self.images_per_step,
            )
            schedule = LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the model is, which data it learns from, and the loss of the epoch so far, as plain values."""
        loss = self.mean_loss.so_far()
        checkpoint[STATE_KEY] = {
            "model": self.model.config.to_dict(),
            "labels": self.labels.to_dict(),
            "normalization": asdict(self.normalization),
            "batch_size": self.batch_size,
            "processes": self.trainer.world_size,
            "accumulated": self.trainer.accumulate_grad_batches,
            "epoch_loss": [0.0, 0.0] if self._epoch_done else loss,
            **self.identity,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the loss of the epoch so far, and let the data go on behind the same batch.

        The data counts the images of one process. With other processes, whose batches make up the same step, a batch
        of each is another number of images.
        """
        state = checkpoint[STATE_KEY]
        self._restored_loss = state["epoch_loss"]
        data = checkpoint.get(SegmentationData.__qualname__)
        if data:
            data["position"] = data["position"] // state["batch_size"] * self.batch_size
