"""The order is a pure function of seed and epoch, shared by ranks, and can go on from the middle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xseg.data.sampler import EpochSampler
from xseg.errors import ConfigError

sizes, worlds, epochs = st.integers(1, 60), st.integers(1, 7), st.integers(0, 5)


@given(size=sizes, world=worlds, epoch=epochs, shuffle=st.booleans())
def test_ranks_together_visit_everything_exactly_once(size, world, epoch, shuffle):
    seen = []
    for rank in range(world):
        sampler = EpochSampler(size, seed=1, shuffle=shuffle, rank=rank, world=world)
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert len(keys) == len(sampler)
        assert {key[0] for key in keys} <= {epoch if shuffle else 0}
        seen += [index for _, index in keys]
    assert sorted(seen) == list(range(size))


@given(size=sizes, world=worlds, epoch=epochs)
def test_even_ranks_visit_as_many_and_nothing_twice(size, world, epoch):
    samplers = [EpochSampler(size, rank=rank, world=world, even=True) for rank in range(world)]
    seen = [sampler.order(epoch) for sampler in samplers]
    assert {len(indices) for indices in seen} == {size // world} == {len(sampler) for sampler in samplers}
    flat = [index for indices in seen for index in indices]
    assert len(set(flat)) == len(flat)


@given(size=st.integers(8, 60), epoch=epochs, seed=st.integers(0, 9), position=st.integers(0, 8))
def test_a_restored_sampler_goes_on_where_it_was_and_only_once(size, epoch, seed, position):
    sampler, restored = EpochSampler(size, seed=seed), EpochSampler(size, seed=seed)
    sampler.set_epoch(epoch)
    restored.load_state_dict({"epoch": epoch, "position": position})
    assert restored.state_dict() == {"epoch": epoch, "position": position}
    restored.set_epoch(epoch)
    assert len(restored) == size
    assert list(restored) == list(sampler)[position:]
    assert list(restored) == list(sampler)


def test_another_epoch_starts_at_its_begin():
    sampler = EpochSampler(9)
    sampler.load_state_dict({"epoch": 2, "position": 4})
    sampler.set_epoch(3)
    assert len(list(sampler)) == 9


def test_orders_differ_by_epoch_and_by_seed_and_repeat():
    first = EpochSampler(50, seed=0)
    assert first.order(0) != first.order(1)
    assert first.order(0) != EpochSampler(50, seed=1).order(0)
    assert first.order(3) == EpochSampler(50, seed=0).order(3)


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="rank=2, world=2"):
        EpochSampler(5, rank=2, world=2)
