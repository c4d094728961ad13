"""The order is a pure function of seed and epoch, shared by ranks, and can go on from the middle."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xseg.data.loading.sampler import EpochSampler, class_rarity, image_weights
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


@given(size=sizes, world=worlds, epoch=epochs, visits=st.integers(1, 200), seed=st.integers(0, 9))
def test_more_visits_come_evenly_and_never_with_the_same_augmentation(size, world, epoch, visits, seed):
    alone = EpochSampler(size, seed=seed, visits=visits)
    order = alone.order(epoch)
    assert len(order) == len(alone) == len(set(order)) == visits
    assert max(order) < -(-visits // size) * size
    counts = Counter(index % size for index in order)
    assert max(counts.values()) - min(counts[index] for index in range(size)) <= 1
    assert order[:size] == EpochSampler(size, seed=seed).order(epoch)[:visits], "one visit each is as ever"
    ranks = [EpochSampler(size, seed=seed, visits=visits, rank=rank, world=world) for rank in range(world)]
    assert sorted(index for rank in ranks for index in rank.order(epoch)) == sorted(order)
    ranks = [EpochSampler(size, seed=seed, visits=visits, rank=rank, world=world, even=True) for rank in range(world)]
    assert {len(rank) for rank in ranks} == {visits // world}


weights = st.lists(st.floats(1, 4), min_size=1, max_size=60)


@given(weights=weights, epoch=epochs, seed=st.integers(0, 9), visits=st.integers(0, 200))
def test_images_come_as_often_as_their_weight_says_to_one_visit(weights, epoch, seed, visits):
    sampler = EpochSampler(len(weights), weights=weights, seed=seed, visits=visits)
    order, total = sampler.order(epoch), visits or len(weights)
    assert len(order) == len(set(order)) == total, "a repetition is another sample"
    visits = Counter(index % len(weights) for index in order)
    for index, weight in enumerate(weights):
        assert abs(visits[index] - weight * total / sum(weights)) < 1 + 1e-6
        repetitions = sorted(place // len(weights) for place in order if place % len(weights) == index)
        assert repetitions == list(range(len(repetitions)))


@given(weights=weights, world=worlds, epoch=epochs)
def test_ranks_share_a_class_aware_epoch_without_visiting_a_sample_twice(weights, world, epoch):
    alone = EpochSampler(len(weights), weights=weights, seed=1).order(epoch)
    ranks = [
        EpochSampler(len(weights), weights=weights, seed=1, rank=rank, world=world).order(epoch)
        for rank in range(world)
    ]
    assert sorted(index for order in ranks for index in order) == sorted(alone)
    even = [
        EpochSampler(len(weights), weights=weights, seed=1, rank=rank, world=world, even=True).order(epoch)
        for rank in range(world)
    ]
    assert {len(order) for order in even} == {len(weights) // world}


def test_a_class_aware_order_repeats_differs_by_epoch_and_goes_on_from_the_middle():
    weights = np.random.default_rng(0).uniform(1, 4, 40)
    sampler = EpochSampler(len(weights), weights=weights, seed=3)
    assert sampler.order(2) == EpochSampler(len(weights), weights=weights, seed=3).order(2) != sampler.order(1)
    sampler.set_epoch(2)
    restored = EpochSampler(len(weights), weights=weights, seed=3)
    restored.load_state_dict({"epoch": 2, "position": 15})
    assert list(restored) == list(sampler)[15:]


def test_rare_classes_are_those_with_few_pixels():
    pixels = np.array([[900, 0, 0, 0], [800, 100, 0, 0], [800, 0, 25, 0]])
    assert np.allclose(class_rarity(pixels), [0.2, 1, 2, 0])
    assert image_weights(pixels) == (1, 1, 2)


def test_a_weight_is_limited_and_a_speck_does_not_count():
    pixels = np.array([[10**6, 10**5, 0], [10**6, 10**5, 2000], [10**6, 0, 3], [0, 0, 0]])
    assert image_weights(pixels) == (1, 4, 1, 1)


def test_weights_of_nothing_are_refused():
    with pytest.raises(ConfigError, match="expected 2 weights above 0"):
        EpochSampler(2, weights=[1.0, 0.0])
    with pytest.raises(ConfigError, match=r"2 weights from 1\.0; expected 3"):
        EpochSampler(3, weights=[1.0, 1.0])
