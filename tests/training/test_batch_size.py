import os
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xseg.errors import ConfigError
from xseg.files.memory import held_memory, peak_memory
from xseg.training.batch_size import find_batch_size, largest_batch


@given(st.floats(0.01, 3), st.floats(0, 5), st.floats(0.5, 100))
def test_it_is_the_largest_power_of_two_that_fits_and_the_budget_is_never_exceeded(slope, base, budget):
    tried = []

    def peak(batch):
        tried.append(batch)
        return base + slope * batch

    if base + slope > budget:
        with pytest.raises(ConfigError, match="one image needs more"):
            largest_batch(peak, base=base, budget=budget)
        return
    found = largest_batch(peak, base=base, budget=budget, limit=256)
    assert base + slope * found <= budget
    assert found == 256 or base + 2 * slope * found > budget
    assert max(base + slope * batch for batch in tried) <= budget, "the machine is never driven beyond it"


def test_memory_that_does_not_suffice_ends_the_search():
    assert largest_batch(lambda batch: None if batch > 4 else 0.0, base=0, budget=100) == 4


def test_the_task_is_left_as_it_is_and_the_batch_is_no_larger_than_the_data(tiny):
    task = tiny.tiny_task()
    before = {name: tensor.clone() for name, tensor in task.state_dict().items()}
    found = find_batch_size(task, crop=(33, 33), images=6, device=torch.device("cpu"), context=nullcontext)
    assert found == 4
    assert all(torch.equal(before[name], tensor) for name, tensor in task.state_dict().items())


def test_memory_that_was_used_and_given_back_before_is_no_need_of_a_step(tiny):
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("the system does not let a peak be forgotten")
    used = torch.ones(250_000_000)
    assert peak_memory() > 1e9
    del used
    budget = held_memory() / 1e9 + 0.5
    assert budget < peak_memory() / 1e9
    on = {"crop": (33, 33), "images": 6, "device": torch.device("cpu"), "context": nullcontext}
    assert find_batch_size(tiny.tiny_task(), **on, budget_gb=budget) == 4
