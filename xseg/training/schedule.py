"""Learning rate as a function of the step."""

from __future__ import annotations

from xseg.training.options.recipe import ScheduleOptions


def rate_factor(
    step: int,
    options: ScheduleOptions,
    *,
    steps: int,
    lr: float = 1.0,
    steps_per_epoch: float = 1.0,
    images_per_step: int = 1,
) -> float:
    """Return the factor of the peak learning rate at a step.

    Args:
        step: number of completed optimiser steps.
        options: options of a named schedule and the warm-up.
        steps: number of optimiser steps of the training.
        lr: peak learning rate, for the ratio of a constant warm-up.
        steps_per_epoch: number of optimiser steps per epoch.
        images_per_step: number of images per step over all processes.

    Returns:
        Factor from 0 to 1, or above 1 if a constant warm-up exceeds the peak rate. It is never 0 for `step < steps`, so
        that no step is wasted.

    Source: polynomial with end value 0: Chen et al. 2017 (DeepLabv2), section 4.1.2. Exponential: Chollet 2017,
    section 4.3, by whole intervals, as TensorFlow's `staircase=True`. The warm-up multiplies or replaces the schedule
    instead of delaying it, so that `warmup_steps` does not affect later steps. Constant warm-up: TF DeepLab
    `train_utils.get_model_learning_rate`, `slow_start_learning_rate`.
    """
    if options.warmup == "constant" and step < options.warmup_steps:
        return options.warmup_lr / lr
    rising = 1.0 if options.warmup == "constant" else min(1.0, (step + 1) / (options.warmup_steps + 1))
    if options.name == "poly":
        remaining = max(0.0, 1.0 - step / max(1, steps))
        return rising * (remaining**options.power if remaining else 0.0)
    if options.name == "constant":
        return rising
    if options.decay_samples is not None:
        intervals = step * images_per_step // options.decay_samples
    else:
        intervals = int(step / (options.decay_epochs * steps_per_epoch) + 1e-9)  # 2 * 0.1 * 5 is not quite 1
    return float(rising * options.decay**intervals)
