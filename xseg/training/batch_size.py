"""Search for the largest batch that fits into memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from xseg.errors import ConfigError
from xseg.files.memory import forget_peak, free_memory, held_memory, peak_memory
from xseg.training.base import BaseTask
from xseg.training.optimizers import build_optimizer

SPARE = 0.1  # share of the budget reserved for batches of whole validation images and the allocator
LIMIT = 4096


def largest_batch(peak: Callable[[int], float | None], *, base: float, budget: float, limit: int = LIMIT) -> int:
    """Double the batch until the next one would not fit.

    The memory of a step beyond the base is at most proportional to its images: twice the batch needs at most twice as
    much. Batches beyond this bound are not tried, so that the machine does not swap.

    Args:
        peak: function that runs a training step with a number of images and returns the peak memory in GB; None if the
            memory was exceeded.
        base: memory in use before the first step in GB.
        budget: largest memory of a step in GB, including the base.
        limit: largest batch to try.

    Returns:
        The largest power of two that fits, at most `limit`.

    Raises:
        ConfigError: if not even one image fits.
    """
    fits, batch = 0, 1
    while batch <= limit:
        used = peak(batch)
        if used is None or used > budget:
            break
        fits = batch
        if base + 2 * (used - base) > budget:
            break
        batch *= 2
    if not fits:
        raise ConfigError(
            f"a step with one image needs more than {budget:.2f} GB of memory",
            expected="enough memory for one image",
            remedy="make data.crop smaller, set model.gradient_checkpointing true, or raise run.memory_gb",
        )
    return fits


def find_batch_size(
    task: BaseTask,
    *,
    crop: tuple[int, int],
    images: int,
    device: torch.device,
    context: Callable[[], AbstractContextManager[None]],
    budget_gb: float | None = None,
) -> int:
    """Return the largest power of two of images that fits into a training step.

    Args:
        task: task to train, which is not changed.
        crop: height and width of a training image in pixels.
        images: number of training images, the upper limit of a batch.
        device: device of the training.
        context: context for the forward pass, for its precision.
        budget_gb: largest memory to use in GB; None for the free memory minus a tenth.

    Raises:
        ConfigError: if not even one image fits.
    """
    trial = copy.deepcopy(task).to(device)
    trial.train()
    optimizer = build_optimizer(trial.model, task.options.optimizer, auxiliary=trial.auxiliary)
    forget_peak()
    base = (peak_memory(device) if device.type == "cuda" else held_memory()) / 1e9
    budget = base + (1 - SPARE) * free_memory(device) / 1e9 if budget_gb is None else budget_gb

    def peak(batch: int) -> float | None:
        """Return the peak memory of a step in GB; None if it does not fit."""
        try:
            with context():
                loss = trial.training_loss(trial.trial_batch(batch, crop, device))
            torch.autograd.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
        except torch.OutOfMemoryError:
            return None
        return peak_memory(device) / 1e9

    found = largest_batch(peak, base=base, budget=budget, limit=min(LIMIT, images))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    return found
