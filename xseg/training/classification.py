"""A classifier as something that Lightning trains and validates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from xseg.bundles.pretrained_classifier import load_encoder
from xseg.classification.options import ClassifierOptions
from xseg.classification.rates import build_optimizer, rate_factor
from xseg.models.classifier import ClassifierConfig, XceptionClassifier

Batch: TypeAlias = dict[str, Any]
TOP = 5


@dataclass(frozen=True)
class Mistake:
    """A validation image that was classified wrongly.

    Args:
        index: its position in the split.
        target: its class.
        predicted: the class with the highest probability.
        probability: of the predicted class, 0 to 1.
    """

    index: int
    target: int
    predicted: int
    probability: float


@dataclass(frozen=True)
class Scores:
    """What a validation found.

    Args:
        loss: mean cross-entropy, without label smoothing.
        accuracy: share of images whose class has the highest score.
        top5: share of images whose class is among the five highest.
        confusion: number of images per class (row) and predicted class (column).
        worst: the mistakes that the classifier was surest of.
    """

    loss: float
    accuracy: float
    top5: float
    confusion: tuple[tuple[int, ...], ...]
    worst: tuple[Mistake, ...]


def build_classifier(options: ClassifierOptions, *, classes: int, in_channels: int) -> XceptionClassifier:
    """Build the classifier that the options describe, with the encoder's weights if they name some.

    Raises:
        ConfigError: if a value is out of range.
        WeightsError: if the weights cannot be read or do not fit.
    """
    config = ClassifierConfig(
        encoder=options.encoder,
        classes=classes,
        in_channels=in_channels,
        fully_connected=options.fully_connected,
        dropout=options.dropout,
        padding=options.padding,
        width=options.width,
        ablation=options.ablation,
    )
    model = XceptionClassifier(config)
    if options.encoder_weights is not None:
        load_encoder(model, options.encoder_weights)
    return model


class ClassificationTask(LightningModule):
    """A classifier with its loss, its optimiser and its validation scores.

    Batches are `{"image": float32 (N, C, H, W), normalised; "target": int64 (N,); "index": int64 (N,)}`. Logs lr at
    every step, and train/loss, train/accuracy, val/loss, val/accuracy and val/top5 once an epoch.

    Args:
        model: the classifier.
        options: how it learns.
        shown: number of mistakes to keep for the report.
    """

    def __init__(self, model: XceptionClassifier, options: ClassifierOptions, *, shown: int = 12) -> None:
        super().__init__()
        self.model, self.options, self.shown = model, options, shown
        if options.batch_norm_momentum is not None:
            for layer in model.modules():
                if isinstance(layer, _BatchNorm):
                    layer.momentum = options.batch_norm_momentum
        if options.channels_last:
            self.model.to(memory_format=torch.channels_last)
        classes = model.config.classes
        self.train_accuracy = _accuracy(classes, 1)
        self.accuracy, self.top5 = _accuracy(classes, 1), _accuracy(classes, TOP)
        self.confusion = MulticlassConfusionMatrix(classes, validate_args=False)
        self.scores: Scores | None = None
        self._mistakes: list[Mistake] = []

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) of normalised images (N, C, H, W)."""
        if self.options.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.model(images)
        return logits

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the loss of a batch."""
        logits = self(batch["image"])
        loss = F.cross_entropy(logits.float(), batch["target"], label_smoothing=self.options.label_smoothing)
        self.train_accuracy.update(logits, batch["target"])
        count = len(batch["target"])
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=count)
        self.log("train/accuracy", self.train_accuracy, on_step=False, on_epoch=True, batch_size=count)
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Count right and wrong images of a batch."""
        logits, target = self(batch["image"]).float(), batch["target"]
        self.log("val/loss", F.cross_entropy(logits, target), on_epoch=True, batch_size=len(target), sync_dist=True)
        for metric in (self.accuracy, self.top5, self.confusion):
            metric.update(logits, target)
        probabilities, predicted = logits.softmax(1).max(1)
        for place in (predicted != target).nonzero().flatten().tolist():
            index, right, wrong = (int(values[place]) for values in (batch["index"], target, predicted))
            self._mistakes.append(Mistake(index, right, wrong, float(probabilities[place])))

    def on_validation_epoch_end(self) -> None:
        """Turn the counts into scores."""
        accuracy, top5 = float(self.accuracy.compute()), float(self.top5.compute())
        confusion = self.confusion.compute().cpu().long().tolist()
        for metric in (self.accuracy, self.top5, self.confusion):
            metric.reset()
        self.log_dict({"val/accuracy": accuracy, "val/top5": top5}, sync_dist=True)
        worst = sorted(self._mistakes, key=lambda mistake: -mistake.probability)[: self.shown]
        self._mistakes = []
        loss = float(self.trainer.callback_metrics.get("val/loss", torch.nan))
        self.scores = Scores(loss, accuracy, top5, tuple(map(tuple, confusion)), tuple(worst))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimiser, and the schedule that moves its rates at every step."""
        rates = self.options.rates
        optimizer = build_optimizer(self.model, rates)
        steps = int(min(self.trainer.estimated_stepping_batches, 2**62))  # endless training has infinite steps
        batches = max(1, int(min(self.trainer.num_training_batches, 2**62)))
        images = int(getattr(self.trainer.train_dataloader, "batch_size", None) or 1)
        factor = partial(
            rate_factor,
            options=rates,
            steps=steps,
            steps_per_epoch=batches / self.trainer.accumulate_grad_batches,
            images_per_step=images * self.trainer.world_size * self.trainer.accumulate_grad_batches,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}


def _accuracy(classes: int, top: int) -> MulticlassAccuracy:
    # micro: the share of all images, as ImageNet is scored, not the mean over classes
    return MulticlassAccuracy(classes, top_k=min(top, classes), average="micro", validate_args=False)
