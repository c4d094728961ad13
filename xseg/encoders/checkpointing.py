"""Gradient checkpointing that leaves the running statistics of batch normalisation alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


@contextmanager
def frozen_running_statistics(module: nn.Module) -> Iterator[None]:
    """Let batch normalisations use the batch's statistics without adding them to the running ones.

    Momentum 0 leaves the running statistics exactly as they are, and the graph as the first run had it.
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
    """Run `block` without keeping its activations; the backward pass computes them again.

    The second run must not count the batch twice in the running statistics, or a checkpointed training would end
    with other weights than a plain one.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Return what the first and the second run happen in."""
        return nullcontext(), frozen_running_statistics(block)

    return checkpoint(block, features, use_reentrant=False, context_fn=contexts)
