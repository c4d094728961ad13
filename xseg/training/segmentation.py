"""Lightning module for segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, distributed

from xseg.data.loading.datamodule import SegmentationData
from xseg.errors import ConfigError
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.metrics.ranking import BestThreshold
from xseg.metrics.registry import METRICS, MetricSource, create_metrics
from xseg.metrics.scores import Scores
from xseg.models.config import ModelConfig
from xseg.models.segmentation import SegmentationModel
from xseg.training.base import BaseTask, Batch
from xseg.training.construction import construct_model, restored_model
from xseg.training.objective import AuxiliaryHead, Objective
from xseg.training.options.task import TaskOptions
from xseg.training.validation_counts import MultilabelCounts, ValidationCounts


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of a scalar over all processes; with a single process, the scalar."""
    if not distributed.is_initialized():
        return value
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


class SegmentationTask(BaseTask):
    """A segmentation model with its loss, optimiser and validation scores.

    Batches are `{"image": float32 (N, C, H, W), normalised; "mask": int64 (N, H, W), "name": one per image}`; for
    overlapping classes, masks are (N, classes, H, W) of 0, 1 and the ignored value. The scores are val/NAME and
    val/NAME/CLASS of the metrics, val/miou and val/iou/CLASS among them; for overlapping classes, they are those of two
    classes, absent and present, and their means are over the classes.

    Args:
        options: options of the model and its training.
        in_channels: number of image channels.
        class_weights: class weights of the cross-entropy; None for 1.
        metrics: metrics in addition to the default metrics.
        batch_size: images per step and process, for rates that depend on it.
        restored: configuration of the model in a checkpoint, whose weights are loaded later; None for a new training.
        labels, normalization: see `BaseTask`.
    """

    main_score, datamodule = "val/miou", SegmentationData
    unit, balancing = "pixel", "set model.loss.class_weights to auto"
    options: TaskOptions
    model: SegmentationModel
    scores: Scores | None

    def __init__(
        self,
        options: TaskOptions,
        labels: LabelMap,
        normalization: Normalization,
        *,
        in_channels: int,
        class_weights: Sequence[float] | None = None,
        metrics: Sequence[MetricSource] = (),
        batch_size: int = 1,
        restored: ModelConfig | None = None,
    ) -> None:
        self.overlapping = labels.overlapping
        self.task = "multilabel" if self.overlapping else "segmentation"
        if self.overlapping and options.binary:
            raise ConfigError("model.binary=true with overlapping classes", expected="false: one output per class")
        if restored is None:
            model = construct_model(options, labels, in_channels=in_channels)
        else:
            model = restored_model(options, restored)
        auxiliary = AuxiliaryHead(model) if options.loss.auxiliary > 0 else None
        super().__init__(options, labels, normalization, model=model, auxiliary=auxiliary)
        self.batch_size = batch_size
        self.objective = Objective(
            options.loss,
            classes=len(labels),
            ignore_index=labels.ignore_index,
            multilabel=self.overlapping,
            class_weights=None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32),
            across=mean_over_processes,
        )
        always = [name for name, kind in METRICS.items() if kind.validated]
        classes, ignore = len(labels), labels.ignore_index
        each = 2 if self.overlapping else classes
        self.metrics = create_metrics(metrics, names=always, classes=each, ignore_index=ignore)
        count = MultilabelCounts if self.overlapping else ValidationCounts
        self.counts = count(self.metrics, classes=classes, ignore_index=ignore)

    @property
    def loss_parts(self) -> Mapping[str, Tensor]:
        """Unweighted losses of the last batch by name."""
        return self.objective.parts

    def loss(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the loss over all labelled pixels, of logits and a mask as in `Objective`."""
        loss: Tensor = self.objective(logits, mask)
        return loss

    def training_loss(self, batch: Batch) -> Tensor:
        """Return the loss of a training batch, including the auxiliary head."""
        mask = batch["mask"]
        loss: Tensor = self.objective(self(batch["image"]), mask, self.global_step)
        if self.auxiliary is not None:
            scores = self.auxiliary(*mask.shape[-2:])
            loss = loss + self.options.loss.auxiliary * self.objective(scores, mask, self.global_step)
        return loss

    def trial_batch(self, count: int, size: tuple[int, int], device: torch.device) -> Batch:
        """Return noise images with every pixel labelled as the first class, or as no overlapping class."""
        image = torch.randn(count, self.model.config.in_channels, *size, device=device)
        shape = (count, len(self.labels), *size) if self.overlapping else (count, *size)
        return {"image": image, "mask": torch.zeros(shape, dtype=torch.int64, device=device)}

    def validation_step(self, batch: Batch, _index: int) -> Tensor:
        """Add a batch to the counts of the metrics.

        Returns:
            Predicted classes, (N, H, W) int64, or (N, classes, H, W) of 0 and 1 for overlapping classes.
        """
        logits, mask = self(batch["image"]), batch["mask"]
        # per image, as a mean over the pixels of a batch would depend on the images in it
        for index in range(len(mask)):
            self.validation_loss.update(self.loss(logits[index : index + 1], mask[index : index + 1]))
        prediction: Tensor = (logits >= 0).long() if self.overlapping else logits.argmax(dim=1)
        self.counts.update(mask, prediction, logits)
        return prediction

    def score_names(self) -> list[str]:
        """Return the logged names of all validation scores."""
        overall = [f"val/{metric.overall_key()}" for metric in self.metrics if metric.has_overall()]
        names = [metric.name for metric in self.metrics if metric.has_classes()]
        return [*overall, *(f"val/{name}/{label}" for name in names for label in self.labels.names)]

    def compute_scores(self) -> None:
        """Compute the scores from the counts of all processes."""
        self.scores = self.counts.compute()

    def validation_scores(self) -> dict[str, float | None]:
        """Return all scores; None for undefined ones, such as the IoU of an absent class."""
        if self.scores is None:
            return {}
        values = [*self.scores.overall.values(), *(each for row in self.scores.per_class.values() for each in row)]
        return dict(zip(self.score_names(), values, strict=True))

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Decision thresholds chosen in the last validation, if the metrics include `BestThreshold`."""
        found = self.scores.per_class.get(BestThreshold.name, ()) if self.scores is not None else ()
        return tuple(value for value in found if value is not None)

    def unloaded_model(self) -> SegmentationModel:
        """Return a model of the same architecture, with other weights."""
        return self.model.rebuilt(self.model.config)
