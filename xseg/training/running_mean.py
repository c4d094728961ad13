"""The mean loss of an epoch, over all processes, which a checkpoint can keep half-way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed
from torchmetrics import Metric


class RunningMean(Metric):
    """The weighted mean of values; equal to one process's over all values of all processes.

    Unlike torchmetrics' `MeanMetric` it never waits for a GPU to look for NaN: where that one is told not to, it
    forgets the weights.
    """

    full_state_update = False
    sums: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("sums", default=torch.zeros(2), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: int = 1) -> None:
        """Add a scalar."""
        self.sums += torch.stack([value.detach().float() * weight, torch.full_like(self.sums[1], weight)])

    def compute(self) -> Tensor:
        """Return the mean, a scalar in float32; NaN of no values."""
        return self.sums[0] / self.sums[1]

    def so_far(self) -> list[float]:
        """Return weighted sum and sum of weights over all processes, which all have to ask at once."""
        sums = self.sums.clone()
        if distributed.is_initialized():
            distributed.all_reduce(sums)
        return [float(value) for value in sums.tolist()]

    def resume_from(self, sums: Sequence[float]) -> None:
        """Take up what `so_far` returned; one process does, for all."""
        self.sums = torch.tensor(sums, device=self.device)
