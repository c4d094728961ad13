"""A moving average of the weights, which generalises better than the last ones."""

from __future__ import annotations

from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

from xseg.training.base import BaseTask
from xseg.training.optimizers import Network


class ExponentialMovingAverage(WeightAveraging):
    """Keep average = decay * average + (1 - decay) * weights, from the first step on, normalisation statistics too.

    Lightning validates with the average, keeps it in checkpoints beside the weights, and leaves it in the module when
    training ends. Unlike Lightning's own `EMAWeightAveraging`, all tensors are updated by one fused call, instead of
    a few small ones per tensor, which on a GPU would cost as much as the step itself.

    Args:
        decay: share of the old average at every step, from 0 up to but not including 1.

    Source: Polyak and Juditsky 1992; in exponential form as in TF's `ExponentialMovingAverage`.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]

    def averaged(self, task: BaseTask) -> Network:
        """Return the model with the averaged weights; before training, the task's own."""
        average = None if self._average_model is None else self._average_model.module
        return average.model if isinstance(average, BaseTask) else task.model
