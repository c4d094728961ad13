"""Batch normalisation: its parameters, and a variant for batches with a single value per channel."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class NormSpec:
    """Parameters of batch normalisation, which differ between implementations.

    Args:
        eps: value added to the variance. The Xceptions of Keras and TF DeepLab use 1e-3, TF DeepLab's heads and PyTorch
            1e-5.
        momentum: share of a new batch in the running statistics, as in PyTorch: 1 - decay of Keras or TF.
    """

    eps: float = 1e-5
    momentum: float = 0.1


def batch_norm(channels: int, spec: NormSpec) -> nn.BatchNorm2d:
    """Return a batch normalisation over `channels` channels."""
    return nn.BatchNorm2d(channels, eps=spec.eps, momentum=spec.momentum)


class PooledBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that also trains on a single value per channel, as after pooling one image.

    The variance of one value is 0: PyTorch refuses it, and normalising by it would output only the bias and stop the
    gradient. In this case the running statistics are used, so that a batch of one image can be trained.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        """Normalise (N, C, H, W); the same shape."""
        batch_statistics = self.training and input.shape[0] * input.shape[2] * input.shape[3] > 1
        if batch_statistics and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            batch_statistics,
            self.momentum if self.momentum is not None else 0.1,
            self.eps,
        )
