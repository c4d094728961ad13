"""The mean loss of an epoch, over all processes, which a checkpoint can keep half-way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed


class RunningMean:
    """The weighted mean of values; equal to one process's over all values of all processes.

    Adding a value never waits for a GPU.
    """

    def __init__(self) -> None:
        self._sums = torch.zeros(2)

    def update(self, value: Tensor, weight: int = 1) -> None:
        """Add a scalar."""
        value = value.detach().float()
        self._sums = self._sums.to(value.device) + torch.stack([value * weight, torch.full_like(value, weight)])

    def compute(self) -> float:
        """Return the mean over all processes, in float32, which all have to ask for at once; NaN of no values."""
        total, weight = torch.tensor(self.so_far())
        return float(total / weight)

    def reset(self) -> None:
        """Forget all values."""
        self._sums = torch.zeros(2)

    def so_far(self) -> list[float]:
        """Return weighted sum and sum of weights over all processes, which all have to ask at once."""
        sums: list[float] = self._sums.tolist()
        if not distributed.is_initialized():
            return sums
        gathered = [sums] * distributed.get_world_size()
        distributed.all_gather_object(gathered, sums)
        return [float(value) for value in torch.tensor(gathered).sum(dim=0)]

    def resume_from(self, sums: Sequence[float]) -> None:
        """Take up what `so_far` returned; one process does, for all."""
        self._sums = torch.tensor(sums)
