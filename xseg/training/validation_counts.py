"""Mean losses and exact counts of the validation metrics over all batches and processes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed

from xseg.metrics.metric import CONFUSION, Counts, Metric
from xseg.metrics.scores import Scores, add_counts, combine_classes, compute_scores, own_counts


class RunningMean:
    """Weighted mean over the values of all processes.

    Adding a value never waits for a GPU.
    """

    def __init__(self) -> None:
        self._sums = torch.zeros(2)

    def update(self, value: Tensor, weight: int = 1) -> None:
        """Add a value."""
        value = value.detach().float()
        self._sums = self._sums.to(value.device) + torch.stack([value * weight, torch.full_like(value, weight)])

    def compute(self) -> float:
        """Return the float32 mean over all processes, NaN without values; all processes must call it together."""
        total, weight = torch.tensor(self.so_far())
        return float(total / weight)

    def reset(self) -> None:
        """Remove all values."""
        self._sums = torch.zeros(2)

    def so_far(self) -> list[float]:
        """Return the weighted sum and the sum of weights over all processes; all of them must call it together."""
        sums: list[float] = self._sums.tolist()
        if not distributed.is_initialized():
            return sums
        gathered = [sums] * distributed.get_world_size()
        distributed.all_gather_object(gathered, sums)
        return [float(value) for value in torch.tensor(gathered).sum(dim=0)]

    def resume_from(self, sums: Sequence[float]) -> None:
        """Restore the result of `so_far`, in one process for all."""
        self._sums = torch.tensor(sums)


def count_pairs(label: Tensor, prediction: Tensor, *, classes: int, ignore_index: int) -> Tensor:
    """Return `xseg.metrics.metric.confusion_matrix` of tensors, on their device.

    Args:
        label: labels from 0 to `classes` - 1 or `ignore_index`, int64, any shape; the readers have checked them.
        prediction: predictions from 0 to `classes` - 1, int64, same shape.
        classes: number of classes, K.
        ignore_index: label to ignore.

    Returns:
        Counts per label (row) and prediction (column), (K, K) int64.
    """
    pairs = torch.where(label == ignore_index, classes * classes, label * classes + prediction)
    return torch.bincount(pairs.flatten(), minlength=classes * classes + 1)[:-1].view(classes, classes)


class ValidationCounts:
    """Counts of a validation; pixels with the label `ignore_index` are not counted."""

    def __init__(self, metrics: Sequence[Metric], *, classes: int, ignore_index: int) -> None:
        self.metrics, self.classes, self.ignore_index = tuple(metrics), classes, ignore_index
        self._pairs: Tensor | None = None
        self._own: dict[str, Counts] = {}

    def update(self, label: Tensor, prediction: Tensor, logits: Tensor | None = None) -> None:
        """Add a batch: labels and predictions (N, H, W) int64, and logits (N, K, H, W) if a metric needs them.

        Raises:
            ConfigError: if a metric cannot count it.
        """
        pairs = count_pairs(label, prediction, classes=self.classes, ignore_index=self.ignore_index)
        self._pairs = pairs if self._pairs is None else self._pairs + pairs
        if all(metric.counts_name() == CONFUSION for metric in self.metrics):
            return
        needed = any(metric.needs_probabilities for metric in self.metrics)
        for index, (one, other) in enumerate(zip(label.cpu().numpy(), prediction.cpu().numpy(), strict=True)):
            probabilities = logits[index].float().softmax(0).cpu().numpy() if logits is not None and needed else None
            self._own = add_counts(self._own, own_counts(self.metrics, one, other, probabilities))

    def compute(self) -> Scores:
        """Return the scores over all processes and reset the counts; all processes must call it together."""
        pairs = torch.zeros(self.classes, self.classes, dtype=torch.int64) if self._pairs is None else self._pairs
        counts = {CONFUSION: pairs.cpu().numpy(), **self._own}
        self._pairs, self._own = None, {}
        if distributed.is_initialized():
            gathered: list[dict[str, Counts]] = [{}] * distributed.get_world_size()
            distributed.all_gather_object(gathered, counts)
            counts = {}
            for each in gathered:
                counts = add_counts(counts, each)
        return compute_scores(self.metrics, counts)


class MultilabelCounts:
    """Counts of a validation of overlapping classes; the metrics are those of two classes, absent and present."""

    def __init__(self, metrics: Sequence[Metric], *, classes: int, ignore_index: int) -> None:
        self.metrics = tuple(metrics)
        self.each = [ValidationCounts(metrics, classes=2, ignore_index=ignore_index) for _ in range(classes)]

    def update(self, label: Tensor, prediction: Tensor, logits: Tensor) -> None:
        """Add a batch: labels and predictions (N, K, H, W) int64 of 0 and 1, and logits (N, K, H, W).

        Raises:
            ConfigError: if a metric cannot count it.
        """
        for index, counts in enumerate(self.each):
            present = logits[:, index]
            both = torch.stack([torch.zeros_like(present), present], dim=1)
            counts.update(label[:, index], prediction[:, index], both)

    def compute(self) -> Scores:
        """Return the scores over all processes and reset the counts; all processes must call it together."""
        return combine_classes(self.metrics, [counts.compute() for counts in self.each])
