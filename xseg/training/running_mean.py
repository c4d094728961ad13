"""Mean loss of an epoch over all processes, resumable within the epoch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, distributed


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
