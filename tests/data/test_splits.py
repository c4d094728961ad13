"""A division is seeded, exact in its shares, and keeps groups together."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xseg.data.layout import SplitOptions
from xseg.data.sample import Record
from xseg.data.splits import SplitPlan, group_of
from xseg.errors import ConfigError, DataError
from xseg.types import SPLITS

NAMES = [f"p{index // 4:02d}_{index % 4}" for index in range(80)]


def listing(split):
    return [Record(name, Path(split, name), None) for name in reversed(NAMES)]


def parts(plan):
    return {split: [record.name for record in plan.records(split, listing)] for split in SPLITS}


@given(seed=st.integers(0, 1000))
def test_every_image_is_in_one_part_and_a_group_is_never_cut(seed):
    options = SplitOptions(fractions=(0.6, 0.2, 0.2), group=r"^(p\d+)_", seed=seed)
    found = parts(SplitPlan.of(options))
    assert sorted(name for names in found.values() for name in names) == sorted(NAMES)
    assert [len(found[split]) for split in SPLITS] == [48, 16, 16]
    groups = [{name[:3] for name in found[split]} for split in SPLITS]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    assert all(names == sorted(names) for names in found.values())


def test_a_seed_draws_the_same_parts_and_another_seed_others():
    first, again, other = (
        parts(SplitPlan.of(SplitOptions(fractions=(0.5, 0.5, 0), seed=seed, val="", test="x"))) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_part_that_is_named_is_left_whole():
    plan = SplitPlan.of(SplitOptions(fractions=(0.75, 0.25, 0.0), test="holdout"))
    assert plan.names == ("train", "train", "holdout")
    assert len(plan.records("train", listing)) == 60
    held_out = plan.records("test", listing)
    assert len(held_out) == 80
    assert held_out[0].image.parts[0] == "holdout"


def test_a_readers_own_division_ends_where_the_user_names_the_parts():
    own = {"names": ("trainval", "trainval", "test"), "fractions": (0.9, 0.1, 0.0)}
    assert len(SplitPlan.of(SplitOptions(), **own).records("train", listing)) == 72
    assert len(SplitPlan.of(SplitOptions(val="test"), **own).records("train", listing)) == 80
    assert SplitPlan.of(SplitOptions(fractions=(0.5, 0.25, 0.25)), **own).names == ("trainval",) * 3


def test_an_empty_part_and_a_wrong_expression_are_told():
    plan = SplitPlan.of(SplitOptions(fractions=(0.98, 0.02, 0.0), group="^p"))
    with pytest.raises(DataError, match=r"the val split is empty: fractions .* of 80 images in 1 groups"):
        plan.records("val", listing)
    with pytest.raises(ConfigError, match=r"group='\(' is not a regular expression"):
        SplitPlan.of(SplitOptions(group="("))


def test_two_records_of_one_name_are_told():
    with pytest.raises(DataError, match=r"train/b.* and .*other.* have the same name"):
        SplitPlan().records("train", lambda _: [Record("b", Path("train/b"), None), Record("b", Path("other"), None)])


def test_groups_are_what_the_expression_finds():
    assert group_of("a/seq07_003", r"seq\d+") == "seq07"
    assert group_of("a/seq07_003", r"(a)/seq") == "a"
    assert group_of("b_1", r"seq\d+") == group_of("b_1", "") == "b_1"
