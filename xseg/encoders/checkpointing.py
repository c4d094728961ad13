"""Gradient checkpointing that does not change the running statistics of batch normalisation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


@contextmanager
def frozen_running_statistics(module: nn.Module) -> Iterator[None]:
    """Let batch normalisations use the statistics of the batch without updating the running ones.

    Momentum 0 leaves the running statistics unchanged, and the graph equal to that of the first run.
    """
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.training]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches


def run_checkpointed(block: nn.Module, features: Tensor) -> Any:
    """Run `block` without storing its activations; the backward pass computes them again.

    The second run must not count the batch again in the running statistics, or training with checkpointing would give
    other weights than without.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), frozen_running_statistics(block)

    return checkpoint(block, features, use_reentrant=False, context_fn=contexts)
