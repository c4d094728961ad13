"""The learning rate over the steps of a training: pure maths."""

from __future__ import annotations

from xseg.training.options.recipe import ScheduleOptions


def poly_factor(step: int, steps: int, options: ScheduleOptions, *, lr: float = 1.0) -> float:
    """Return what the highest learning rate is multiplied by at a step.

    Args:
        step: number of optimiser steps already taken, from 0.
        steps: number of optimiser steps of the whole training.
        options: the power, and the warm-up.
        lr: the highest learning rate, which a constant warm-up is measured by.

    Returns:
        A factor, from 0 to 1 but where a constant warm-up is above the highest rate. It is never 0 while
        `step < steps`, so that no step is wasted.

    Source: power and end of 0: Chen et al. 2017 (DeepLabv2), section 4.1.2. The warm-up multiplies or replaces the
    polynomial, rather than delaying it, so that changing `warmup_steps` changes no later step. Constant warm-up: TF
    DeepLab `train_utils.get_model_learning_rate`, `slow_start_learning_rate`.
    """
    if options.warmup == "constant" and step < options.warmup_steps:
        return options.warmup_lr / lr
    remaining = max(0.0, 1.0 - step / max(1, steps))
    rising = 1.0 if options.warmup == "constant" else min(1.0, (step + 1) / (options.warmup_steps + 1))
    return rising * (remaining**options.power if remaining else 0.0)
