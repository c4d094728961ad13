"""Task of training a classifier with Lightning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from xseg.bundles.pretrained_classifier import load_encoder
from xseg.data.loading.datamodule import ClassificationData
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.metrics.scores import TOP, ClassificationScores
from xseg.models.classifier import ClassifierConfig, XceptionClassifier
from xseg.training.base import BaseTask, Batch
from xseg.training.construction import finish, refuse_difference
from xseg.training.options.task import ClassifierOptions
from xseg.training.validation_counts import RunningMean, ValidationCounts


def build_classifier(
    options: ClassifierOptions, *, classes: int, in_channels: int, restored: ClassifierConfig | None = None
) -> XceptionClassifier:
    """Build the classifier in the options, with weights for the encoder, if any.

    `restored` is the configuration of the classifier in a checkpoint, whose weights are loaded later.

    Raises:
        ConfigError: if a value is out of range.
        WeightsError: if the weights cannot be read or do not fit, or the checkpoint belongs to another classifier.
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
    """A classifier with its loss, optimiser and validation scores.

    Batches are `{"image": float32 (N, C, H, W), normalised; "target": int64 (N,)}`. Logs train/accuracy, too; the
    scores are val/accuracy and val/top5.

    Args:
        options: options of the classifier and its training.
        model: classifier.
        preprocessing: preprocessing of the images as a dictionary, saved with the weights.
        labels, normalization: see `BaseTask`.
    """

    main_score, task, datamodule = "val/accuracy", "classification", ClassificationData
    unit, balancing = "image", "add images of the rare classes"
    options: ClassifierOptions
    model: XceptionClassifier
    scores: ClassificationScores | None

    def __init__(
        self,
        options: ClassifierOptions,
        labels: LabelMap,
        normalization: Normalization,
        *,
        model: XceptionClassifier,
        preprocessing: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(options, labels, normalization, model=finish(model, options))
        self.preprocessing = dict(preprocessing or {})
        self.mean_accuracy, self.found = RunningMean(), RunningMean()
        self.counts = ValidationCounts((), classes=len(labels), ignore_index=labels.ignore_index)

    @property
    def training_means(self) -> dict[str, RunningMean]:
        """Running means over training batches, by name."""
        return {**super().training_means, "accuracy": self.mean_accuracy}

    def training_loss(self, batch: Batch) -> Tensor:
        """Return the cross-entropy of a training batch, and count correct predictions."""
        logits, target = self(batch["image"]), batch["target"]
        self.mean_accuracy.update((logits.argmax(1) == target).float().mean(), len(target))
        return F.cross_entropy(logits.float(), target, label_smoothing=self.options.label_smoothing)

    def trial_batch(self, count: int, size: tuple[int, int], device: torch.device) -> Batch:
        """Return noise with labels of the first class."""
        image = torch.randn(count, self.model.config.in_channels, *size, device=device)
        return {"image": image, "target": torch.zeros(count, dtype=torch.int64, device=device)}

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Count correct and wrong images of a batch."""
        logits, target = self(batch["image"]).float(), batch["target"]
        self.validation_loss.update(F.cross_entropy(logits, target), len(target))
        best = logits.topk(min(TOP, logits.shape[1])).indices
        self.found.update((best == target[:, None]).any(1).float().mean(), len(target))
        self.counts.update(target, best[:, 0])

    def score_names(self) -> list[str]:
        """Return the logged names of all validation scores."""
        return [self.main_score, "val/top5"]

    def compute_scores(self) -> None:
        """Compute the scores from the counts of all processes."""
        loss, found = float(self.validation_loss.compute()), float(self.found.compute())
        self.scores = ClassificationScores(loss, found, self.counts.compute().confusion)
        self.found.reset()

    def validation_scores(self) -> dict[str, float | None]:
        """Return top-1 and top-5 accuracy."""
        if self.scores is None:
            return {}
        return dict(zip(self.score_names(), (self.scores.accuracy, self.scores.top5), strict=True))

    def unloaded_model(self) -> XceptionClassifier:
        """Return a model like the task's, with other weights."""
        return XceptionClassifier(self.model.config)
