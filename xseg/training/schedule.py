"""The learning rate over the steps of a training: pure maths."""

from __future__ import annotations

from xseg.training.options import ScheduleOptions


def poly_factor(step: int, steps: int, options: ScheduleOptions) -> float:
    """Return what the highest learning rate is multiplied by at a step.

    Args:
        step: number of optimiser steps already taken, from 0.
        steps: number of optimiser steps of the whole training.
        options: the power, and the number of warm-up steps.

    Returns:
        A factor from 0 to 1. It is never 0 while `step < steps`, so that no step is wasted.

    Source: power and end of 0: Chen et al. 2017 (DeepLabv2), section 4.1.2. The warm-up multiplies the polynomial,
    rather than delaying it, so that changing `warmup_steps` changes no later step.
    """
    remaining = max(0.0, 1.0 - step / max(1, steps))
    rising = min(1.0, (step + 1) / (options.warmup_steps + 1))
    return rising * (remaining**options.power if remaining else 0.0)
