"""Freezing of pretrained normalisation statistics, and batch normalisation over several processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from xseg.training.options.task import LearningOptions


@dataclass(frozen=True)
class StatisticsChoice:
    """Choice between frozen and trained normalisation statistics of the encoder."""

    frozen: bool
    reason: str


def choose_statistics(options: LearningOptions, *, pretrained: bool, normalised_together: int) -> StatisticsChoice:
    """Choose whether the normalisation statistics of the encoder are frozen.

    Args:
        options: learning options with policy and threshold.
        pretrained: whether the encoder has pretrained statistics.
        normalised_together: number of images that are normalised together in a step.

    Source: TF DeepLab `train.py`, `fine_tune_batch_norm`: true for a batch of 12 or more, better 16. The default
    threshold is lower, based on measurements on CamVid: docs/training.md.
    """
    if options.batch_norm != "auto":
        return StatisticsChoice(options.batch_norm == "frozen", f"model.batch_norm is {options.batch_norm}")
    if not pretrained:
        return StatisticsChoice(False, "the encoder starts from random weights")
    images, threshold = normalised_together, options.batch_norm_threshold
    few = images < threshold
    reason = f"{images} images are normalised together, {'fewer than' if few else 'at least'} {threshold}"
    return StatisticsChoice(few, reason)


def normalization_layers(model: nn.Module) -> list[_BatchNorm]:
    """Return the layers with running means and variances."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


class _Sum(torch.autograd.Function):
    """Sum of a tensor over all processes, whose gradient is the sum of the gradients in all processes."""

    @staticmethod
    def forward(_context: Any, tensor: Tensor) -> Tensor:
        """Return the sum."""
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with joint statistics of all processes, on any device.

    PyTorch's own `SyncBatchNorm` works only on GPUs. The results are the same: number of values, sum and sum of squares
    are summed over the processes, with gradients.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        """Normalise (N, C, H, W); the same shape."""
        if not self.training:
            return super().forward(input)
        values = input if input.dtype == torch.float64 else input.float()
        own = values.new_tensor([values.numel() // values.shape[1]])
        sums = torch.cat([values.sum(dim=(0, 2, 3)), values.square().sum(dim=(0, 2, 3)), own])
        sums = cast(Tensor, _Sum.apply(sums))
        count = sums[-1].detach()
        mean, square = (sums[:-1] / count).chunk(2)
        variance = (square - mean.square()).clamp(min=0.0)
        self._move(mean.detach(), variance.detach() * (count / (count - 1).clamp(min=1)))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        output: Tensor = (values * scale[:, None, None] + shift[:, None, None]).to(input.dtype)
        return output

    def _move(self, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics with those of a batch."""
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = 0.1 if self.momentum is None else self.momentum
        for kept, new in ((self.running_mean, mean), (self.running_var, variance)):
            if kept is not None:
                kept.lerp_(new.to(kept.dtype), momentum)


class SharedNormalization(TorchSyncBatchNorm):
    """Lightning's plugin for `trainer.sync_batchnorm`, with support for CPUs."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Return the model with shared normalisations; with a single process, it is not changed."""
        if not distributed.is_initialized() or distributed.get_world_size() == 1:
            return model
        if distributed.get_backend() == "nccl":
            return super().apply(model)
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.BatchNorm2d) and not isinstance(child, SharedBatchNorm2d):
                    setattr(module, name, _shared(child))
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Return the model, unchanged if no layers were replaced by PyTorch's own."""
        has_own = any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
        return super().revert(model) if has_own else model


def _shared(layer: nn.BatchNorm2d) -> SharedBatchNorm2d:
    """Return a layer with the same parameters and buffers, and shared statistics."""
    with torch.device("meta"):
        shared = SharedBatchNorm2d(layer.num_features, eps=layer.eps, momentum=layer.momentum)
    shared.weight, shared.bias = layer.weight, layer.bias
    shared.running_mean, shared.running_var = layer.running_mean, layer.running_var
    shared.num_batches_tracked = layer.num_batches_tracked
    return shared.train(layer.training)
