from __future__ import annotations

import pickle
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xseg.data.cache import MemoryCache, sample_source
from xseg.data.folds import assign_folds, hold_out, pooled
from xseg.data.layout import LayoutOptions, SceneOptions, SplitOptions
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.data.sample import Record
from xseg.errors import ConfigError, DataError

tables = st.integers(0, 10**6).map(lambda seed: np.random.default_rng(seed).random((40, 5)) < [0.1, 0.2, 0.5, 0.9, 1])


@settings(max_examples=30, deadline=None)
@given(tables, st.integers(2, 8), st.integers(8, 40), st.integers(0, 5))
def test_groups_stay_together_and_no_fold_is_empty(present, folds, groups, seed):
    names = [f"g{index % groups}" for index in range(len(present))]
    chosen = assign_folds(names, present, folds=folds, seed=seed)
    assert chosen == assign_folds(names, present, folds=folds, seed=seed)
    assert set(chosen) == set(range(1, folds + 1))
    found = defaultdict(set)
    for name, fold in zip(names, chosen, strict=True):
        found[name].add(fold)
    assert all(len(folds_of_group) == 1 for folds_of_group in found.values())


@settings(max_examples=30, deadline=None)
@given(tables, st.integers(2, 5), st.integers(0, 5))
def test_the_rarest_class_is_spread_evenly_and_folds_are_of_similar_size(present, folds, seed):
    chosen = np.array(assign_folds([str(index) for index in range(40)], present, folds=folds, seed=seed))
    sizes = [int((chosen == fold).sum()) for fold in range(1, folds + 1)]
    assert max(sizes) - min(sizes) <= 4
    images = present.sum(axis=0)
    rarest = np.where(images > 0, images, 99).argmin()
    spread = [int(present[chosen == fold, rarest].sum()) for fold in range(1, folds + 1)]
    assert max(spread) - min(spread) <= 1


def test_classes_are_spread_better_than_by_chance():
    def deviation(present, chosen):
        shares = [present[chosen == fold].mean(axis=0) for fold in range(1, 6)]
        return float(np.abs(np.stack(shares) - present.mean(axis=0)).mean())

    ours, chance = [], []
    for seed in range(10):
        random = np.random.default_rng(seed)
        present = random.random((60, 8)) < random.random(8) * 0.4
        ours.append(
            deviation(present, np.array(assign_folds([str(i) for i in range(60)], present, folds=5, seed=seed)))
        )
        chance.append(deviation(present, random.permutation(np.arange(60) % 5 + 1)))
    assert np.mean(ours) < np.mean(chance) / 2


def test_a_seed_gives_other_folds_and_too_few_groups_are_refused():
    names, present = [str(index) for index in range(20)], np.ones((20, 1), bool)
    assert assign_folds(names, present, folds=4, seed=0) != assign_folds(names, present, folds=4, seed=1)
    assert Counter(assign_folds(names, present, folds=4, seed=0)) == dict.fromkeys((1, 2, 3, 4), 5)
    with pytest.raises(ConfigError, match="folds=5 for 4 groups of images; expected at least one group per fold"):
        assign_folds([name[-1] for name in "0123" * 5], present, folds=5, seed=0)


class Listed:
    """A reader with only the records that it is given."""

    def __init__(self, **splits):
        self.splits = splits

    def records(self, split):
        if split not in self.splits:
            raise DataError(f"no {split}")
        return self.splits[split]


def record(folder, name):
    return Record(name, Path(folder, name), None)


def test_the_pool_is_training_and_validation_without_test_images():
    both = Listed(train=(record("a", "1"), record("a", "2")), val=(record("b", "3"), record("b", "2")))
    assert [known.name for known in pooled(both)] == ["train/1", "train/2", "val/2", "val/3"]
    assert pooled(both)[Record("val/2", Path("b/2"), None)] == record("b", "2")
    same = (record("a", "1"), record("a", "2"))
    assert list(pooled(Listed(train=same, val=same))) == [*same]
    assert list(pooled(Listed(train=same))) == [*same]
    assert list(pooled(Listed(train=same, val=(record("t", "3"),), test=(record("t", "3"),)))) == [*same]


@pytest.fixture
def scenes(tmp_path):
    """Options of generated scenes, and of a fold of them."""
    (tmp_path / "folds.csv").write_text(
        "name,group,fold\n"
        + "".join(f"{s}/{i:06d},x,{1 + (i % 2)}\n" for s, n in (("train", 4), ("val", 2)) for i in range(n))
    )

    def make(fold=None, counts=(4, 2, 2)):
        splits = SplitOptions() if fold is None else SplitOptions(folds=str(tmp_path / "folds.csv"), fold=fold)
        scenes = SceneOptions(size=(32, 32), counts=counts)
        return DataOptions(reader="scenes", layout=LayoutOptions(splits=splits, scenes=scenes))

    return make


def test_every_image_is_held_out_once_and_read_as_without_folds(scenes):
    whole, folds = create_reader(scenes()), [create_reader(scenes(fold)) for fold in (1, 2)]
    names = sorted(record.name for fold in folds for record in fold.records("val"))
    assert names == [f"{split}/{i:06d}" for split, count in (("train", 4), ("val", 2)) for i in range(count)]
    for fold in folds:
        assert sorted([*fold.records("train"), *fold.records("val")], key=lambda r: r.name) == list(fold.pool)
        assert fold.records("test") == whole.records("test")
        assert fold.labels == whole.labels
        again = pickle.loads(pickle.dumps(fold))
        for split in ("train", "val", "test"):
            for found in fold.records(split):
                sample = again.read(found)
                assert sample.name == found.name
                part, _, name = found.name.rpartition("/")
                original = next(r for r in whole.records(part or split) if r.name == name)
                np.testing.assert_array_equal(sample.image, whole.read(original).image)
                assert fold.inspect(found).size == (32, 32)


def test_the_images_of_a_fold_are_kept_in_memory_if_they_fit(scenes):
    reader = create_reader(scenes(1))
    records = reader.records("train")
    source = sample_source(replace(scenes(1), workers=0), reader, records)
    assert isinstance(source, MemoryCache)
    for record in records:
        np.testing.assert_array_equal(source.read(record).image, reader.read(record).image)


def test_folds_of_other_images_and_unknown_folds_are_refused(scenes):
    with pytest.raises(
        DataError, match=r"folds\.csv lists 6 images and the data set has 7; train/000004 is only in one"
    ):
        create_reader(scenes(1, counts=(5, 2, 2)))
    with pytest.raises(ConfigError, match=r"fold=3 of .*folds\.csv; expected one of 1, 2"):
        create_reader(scenes(3))
    with pytest.raises(DataError, match=r"missing\.csv does not exist; expected the folds of xseg crossval"):
        hold_out(create_reader(scenes()), Path("missing.csv"), 1)
    for wrong in ({"folds": "folds.csv"}, {"fold": 1}):
        with pytest.raises(ConfigError, match="expected both or none of them"):
            SplitOptions(**wrong)
