"""Moving average of the weights, which generalises better than the last weights."""

from __future__ import annotations

from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

from xseg.training.base import BaseTask
from xseg.training.optimizers import Network


class ExponentialMovingAverage(WeightAveraging):
    """Computes average = decay * average + (1 - decay) * weights from the first step, with statistics.

    Lightning validates with the average, saves it in checkpoints with the weights, and copies it to the module when
    training ends. Unlike in Lightning's own `EMAWeightAveraging`, one fused call updates all tensors, instead of a few
    small calls per tensor, which on a GPU would cost as much as the step itself.

    Args:
        decay: share of the old average at every step, 0 or more and below 1.

    Source: Polyak and Juditsky 1992; in exponential form as in TF's `ExponentialMovingAverage`.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]

    def averaged(self, task: BaseTask) -> Network:
        """Return the model with averaged weights; before training, the model of the task."""
        average = None if self._average_model is None else self._average_model.module
        return average.model if isinstance(average, BaseTask) else task.model
