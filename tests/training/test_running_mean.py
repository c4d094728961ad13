"""The running mean against numpy's average, in one process, in two, and broken off."""

import math

import numpy as np
import pytest
import torch
from torch import distributed

from xseg.training.validation_counts import RunningMean

VALUES, WEIGHTS = np.array([0.5, 2.0, -1.25, 7.0]), np.array([2, 1, 8, 3])


def mean_of(part, *, going_on_from=None):
    mean = RunningMean()
    if going_on_from is not None:
        mean.resume_from(going_on_from)
    for value, weight in zip(VALUES[part], WEIGHTS[part], strict=True):
        mean.update(torch.tensor(value, dtype=torch.bfloat16, requires_grad=True), int(weight))
    return mean


def test_it_is_the_weighted_mean_of_any_precision():
    assert mean_of(slice(None)).compute() == pytest.approx(np.average(VALUES, weights=WEIGHTS))


@pytest.mark.parametrize("cut", [0, 1, 3, 4])
def test_parts_give_the_mean_of_the_whole_one_after_the_other_and_side_by_side(cut, monkeypatch):
    first, second = mean_of(slice(cut)), mean_of(slice(cut, None))
    sums = first.so_far()
    assert sums == [float((VALUES * WEIGHTS)[:cut].sum()), float(WEIGHTS[:cut].sum())]
    whole = pytest.approx(np.average(VALUES, weights=WEIGHTS))
    assert mean_of(slice(cut, None), going_on_from=sums).compute() == whole

    def gather(everything, mine):
        everything[:] = [sums, mine]

    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_gather_object", gather)
    assert second.compute() == whole


def test_without_values_it_is_nan_also_after_a_reset():
    mean = mean_of(slice(None))
    mean.reset()
    assert mean.so_far() == [0, 0]
    assert math.isnan(mean.compute())
