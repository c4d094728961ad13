"""A classifier as something that Lightning trains and validates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from xseg.bundles.bundle import Bundle
from xseg.bundles.pretrained_classifier import load_encoder
from xseg.data.loading.datamodule import ClassificationData
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.metrics.classification import TOP, ClassificationScores
from xseg.models.classifier import ClassifierConfig, XceptionClassifier
from xseg.training.base import BaseTask, Batch
from xseg.training.construction import finish, refuse_difference
from xseg.training.options.task import ClassifierOptions
from xseg.training.running_mean import RunningMean
from xseg.training.validation_counts import ValidationCounts


def build_classifier(
    options: ClassifierOptions, *, classes: int, in_channels: int, restored: ClassifierConfig | None = None
) -> XceptionClassifier:
    """Build the classifier that the options describe, with the encoder's weights if they name some.

    `restored` is what the classifier of a checkpoint is made of, whose weights follow.

    Raises:
        ConfigError: if a value is out of range.
        WeightsError: if the weights cannot be read or do not fit, or the checkpoint is of another classifier.
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
    if restored is not None:
        refuse_difference(config, restored, "the checkpoint to resume", ("encoder_norm_eps", "encoder_norm_momentum"))
        return XceptionClassifier(restored)
    model = XceptionClassifier(config)
    if options.encoder_weights is not None:
        load_encoder(model, options.encoder_weights)
    return model


class ClassificationTask(BaseTask):
    """A classifier with its loss, its optimiser and its validation scores.

    Batches are `{"image": float32 (N, C, H, W), normalised; "target": int64 (N,)}`. Measures train/accuracy, too; the
    scores are val/accuracy and val/top5.

    Args:
        options: the classifier and how it learns.
        labels: the classes.
        normalization: how stored pixels become the batches' images; kept to be saved with the weights.
        model: the classifier.
        preprocessing: how an image becomes the classifier's input, as plain values; kept to be saved with the weights.
        batch_size: images per step and process, for rates that follow it.
        identity: further plain values in checkpoints, which decide later whether they fit.

    Attributes:
        scores: scores of the last validation.
    """

    main_score, task, datamodule = "val/accuracy", "classification", ClassificationData
    unit, balancing = "image", "add images of the rare classes"
    options: ClassifierOptions
    model: XceptionClassifier

    def __init__(
        self,
        options: ClassifierOptions,
        labels: LabelMap,
        normalization: Normalization,
        *,
        model: XceptionClassifier,
        preprocessing: Mapping[str, Any] | None = None,
        batch_size: int = 1,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            options, labels, normalization, model=finish(model, options), batch_size=batch_size, identity=identity
        )
        self.preprocessing = dict(preprocessing or {})
        self.mean_accuracy, self.found = RunningMean(), RunningMean()
        self.counts = ValidationCounts((), classes=len(labels), ignore_index=labels.ignore_index)
        self.scores: ClassificationScores | None = None

    @property
    def training_means(self) -> dict[str, RunningMean]:
        """What is measured of training batches, by name."""
        return {**super().training_means, "accuracy": self.mean_accuracy}

    def training_loss(self, batch: Batch) -> Tensor:
        """Return the cross-entropy of a training batch, and count what is right."""
        logits, target = self(batch["image"]), batch["target"]
        self.mean_accuracy.update((logits.argmax(1) == target).float().mean(), len(target))
        return F.cross_entropy(logits.float(), target, label_smoothing=self.options.label_smoothing)

    def trial_batch(self, count: int, size: tuple[int, int], device: torch.device) -> Batch:
        """Return noise of the first class."""
        image = torch.randn(count, self.model.config.in_channels, *size, device=device)
        return {"image": image, "target": torch.zeros(count, dtype=torch.int64, device=device)}

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Count right and wrong images of a batch."""
        logits, target = self(batch["image"]).float(), batch["target"]
        self.validation_loss.update(F.cross_entropy(logits, target), len(target))
        best = logits.topk(min(TOP, logits.shape[1])).indices
        self.found.update((best == target[:, None]).any(1).float().mean(), len(target))
        self.counts.update(target, best[:, 0])

    def score_names(self) -> list[str]:
        """Return the names of all validation scores, as they are logged."""
        return [self.main_score, "val/top5"]

    def compute_scores(self) -> None:
        """Turn the counts of all processes into scores."""
        loss, found = float(self.validation_loss.compute()), float(self.found.compute())
        self.scores = ClassificationScores(loss, found, self.counts.compute().confusion)
        self.found.reset()

    def validation_scores(self) -> dict[str, float | None]:
        """Return the share of images whose class scores highest, and is among the five highest."""
        if self.scores is None:
            return {}
        return dict(zip(self.score_names(), (self.scores.accuracy, self.scores.top5), strict=True))

    def confusion_counts(self) -> Sequence[Sequence[int]]:
        """Return the last validation's images per class (row) and predicted class (column)."""
        return () if self.scores is None else self.scores.confusion

    def bundle(self, model: XceptionClassifier, provenance: Mapping[str, Any]) -> Bundle[XceptionClassifier]:  # type: ignore[override]
        """Return what is saved of a model with the weights of this training."""
        return Bundle(model, self.labels, self.normalization, provenance, self.preprocessing)

    def unloaded_model(self) -> XceptionClassifier:
        """Return a model as the task's, with other weights."""
        return XceptionClassifier(self.model.config)
