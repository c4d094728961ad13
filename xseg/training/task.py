"""A segmentation model as something that Lightning trains and validates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics.classification import MulticlassConfusionMatrix

from xseg.factory import create_model
from xseg.labels import LabelMap
from xseg.losses.cross_entropy import labelled_cross_entropy
from xseg.metrics.scores import Scores, scores_from_confusion
from xseg.models.segmentation import SegmentationModel
from xseg.normalization import Normalization
from xseg.training.optimizers import build_optimizer
from xseg.training.options import TaskOptions
from xseg.training.schedule import poly_factor

Batch: TypeAlias = dict[str, Any]


def build_model(options: TaskOptions, *, classes: int, in_channels: int) -> SegmentationModel:
    """Build the model that the options describe.

    Raises:
        ConfigError: if a value is out of range.
        WeightsError: if the encoder's weights are missing or do not fit.
    """
    return create_model(
        options.architecture,
        encoder=options.encoder,
        encoder_weights=options.encoder_weights,
        classes=classes,
        in_channels=in_channels,
        output_stride=options.output_stride,
        depth=options.depth,
        padding=options.padding,
        width=options.width,
        decoder_channels=options.decoder_channels,
        atrous_rates=options.atrous_rates,
        dropout=options.dropout,
        decoder=options.decoder,
        aspp=options.aspp,
        image_pooling=options.image_pooling,
        multi_grid=options.multi_grid,
    )


def normalization_layers(model: nn.Module) -> list[_BatchNorm]:
    """Return the layers that keep running means and variances."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


class SegmentationTask(LightningModule):
    """A model with its loss, its optimiser and its validation scores.

    Batches are `{"image": float32 (N, C, H, W), normalised; "mask": int64 (N, H, W)}`. Logs lr at every step, and
    train/loss, val/loss, val/miou and val/iou/CLASS once an epoch.

    Args:
        options: the model and how it learns.
        labels: the classes.
        normalization: how stored pixels become the batches' images; kept to be saved with the weights.
        in_channels: channels of an image.
        class_weights: weight in the loss per class; None for 1.
    """

    def __init__(
        self,
        options: TaskOptions,
        labels: LabelMap,
        normalization: Normalization,
        *,
        in_channels: int,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.options, self.labels, self.normalization = options, labels, normalization
        self.model = build_model(options, classes=len(labels), in_channels=in_channels)
        if options.batch_norm_momentum is not None:
            for layer in normalization_layers(self.model):
                layer.momentum = options.batch_norm_momentum
        if options.channels_last:
            self.model.to(memory_format=torch.channels_last)
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", weights)
        # not validated per batch (it sorts every pixel); readers and their checks refuse labels out of range
        self.confusion = MulticlassConfusionMatrix(
            len(labels), ignore_index=labels.ignore_index, validate_args=False, compute_with_cache=False
        )
        self.scores: Scores | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes, H, W) of normalised images (N, C, H, W)."""
        if self.options.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.model(images)
        return logits

    def loss(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return what is minimised, over the labelled pixels: logits (N, classes, H, W), mask (N, H, W) int64."""
        return labelled_cross_entropy(
            logits,
            mask,
            ignore_index=self.labels.ignore_index,
            class_weights=self.class_weights,
            label_smoothing=self.options.loss.label_smoothing,
        )

    def on_train_start(self) -> None:
        """Set the rates by the schedule of now: a checkpoint of a shorter training brings that one's, 0 at its end."""
        schedule = self.lr_schedulers()
        if isinstance(schedule, LambdaLR):
            groups = schedule.optimizer.param_groups
            for group, rate, factor in zip(groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
                group["lr"] = rate * factor(schedule.last_epoch)

    def on_train_epoch_start(self) -> None:
        """Put layers into the mode they train in."""
        self.model.train()
        if self.options.batch_norm == "frozen":
            for layer in normalization_layers(self.model.encoder):
                layer.eval()  # statistics stay; scale and shift still learn, as in TF DeepLab

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the loss of a batch."""
        loss = self.loss(self(batch["image"]), batch["mask"])
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(batch["mask"]))
        rates = [group["lr"] for optimizer in self.trainer.optimizers for group in optimizer.param_groups]
        self.log("lr", max(rates), on_step=True, on_epoch=False)
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Count right and wrong pixels of a batch."""
        logits = self(batch["image"])
        loss = self.loss(logits, batch["mask"])
        self.log("val/loss", loss, on_epoch=True, batch_size=len(batch["mask"]), sync_dist=True)
        self.confusion.update(logits.argmax(dim=1), batch["mask"])

    def on_validation_epoch_end(self) -> None:
        """Turn the counts into scores; a class that is neither labelled nor predicted is not logged."""
        self.scores = scores_from_confusion(self.confusion.compute().cpu().numpy())
        self.confusion.reset()
        if self.scores.miou is not None:
            self.log("val/miou", self.scores.miou, prog_bar=True, sync_dist=True)
        for name, entry in zip(self.labels.names, self.scores.classes, strict=True):
            if entry.iou is not None:
                self.log(f"val/iou/{name}", entry.iou, sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimiser, and the schedule that moves its rates at every step."""
        optimizer = build_optimizer(self.model, self.options.optimizer)
        steps = int(min(self.trainer.estimated_stepping_batches, 2**62))  # endless training has infinite steps
        factor = partial(poly_factor, steps=steps, options=self.options.schedule)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}
