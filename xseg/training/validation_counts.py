"""Counting a validation for its metrics, exactly, over all batches and processes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed

from xseg.metrics.metric import Counts, Metric
from xseg.metrics.scores import CONFUSION, Scores, add_counts, compute_scores, own_counts


def count_pairs(label: Tensor, prediction: Tensor, *, classes: int, ignore_index: int) -> Tensor:
    """Return `xseg.metrics.confusion.confusion_matrix` of tensors, on their device.

    Args:
        label: int64 of any shape, 0 to `classes` - 1 or `ignore_index`; not checked, which readers do.
        prediction: int64 of the same shape, 0 to `classes` - 1.
        classes: number of classes, K.
        ignore_index: the label that is not counted.

    Returns:
        (K, K) int64: rows are labels, columns predictions.
    """
    pairs = torch.where(label == ignore_index, classes * classes, label * classes + prediction)
    return torch.bincount(pairs.flatten(), minlength=classes * classes + 1)[:-1].view(classes, classes)


class ValidationCounts:
    """The counts of a validation; labels of `ignore_index` are not counted."""

    def __init__(self, metrics: Sequence[Metric], *, classes: int, ignore_index: int) -> None:
        self.metrics, self.classes, self.ignore_index = tuple(metrics), classes, ignore_index
        self._pairs: Tensor | None = None
        self._own: dict[str, Counts] = {}

    def update(self, label: Tensor, prediction: Tensor) -> None:
        """Count a batch: labels and predictions (N, H, W) int64.

        Raises:
            ConfigError: if a metric does not count.
        """
        pairs = count_pairs(label, prediction, classes=self.classes, ignore_index=self.ignore_index)
        self._pairs = pairs if self._pairs is None else self._pairs + pairs
        if any(metric.has_own_counts() for metric in self.metrics):
            for one, other in zip(label.cpu().numpy(), prediction.cpu().numpy(), strict=True):
                self._own = add_counts(self._own, own_counts(self.metrics, one, other))

    def compute(self) -> Scores:
        """Return the scores of all processes' images, which all of them have to ask for, and begin anew."""
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
