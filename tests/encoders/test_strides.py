"""Strides and dilations of the stages, worked out by hand and as a property of every plan."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xseg.encoders.spec import Grid, plan_strides
from xseg.errors import ConfigError


@pytest.mark.parametrize(
    ("output_stride", "grids"),
    [
        (32, [(2, 1), (1, 1), (2, 1), (2, 1), (2, 1), (1, 1)]),
        (16, [(2, 1), (1, 1), (2, 1), (2, 1), (1, 1), (1, 2)]),
        (8, [(2, 1), (1, 1), (2, 1), (1, 1), (1, 2), (1, 4)]),
        (4, [(2, 1), (1, 1), (1, 1), (1, 2), (1, 4), (1, 8)]),
    ],
)
def test_a_stage_that_gives_up_its_stride_still_runs_with_the_old_dilation(output_stride, grids):
    assert plan_strides((2, 1, 2, 2, 2, 1), output_stride) == tuple(Grid(*grid) for grid in grids)


@given(st.lists(st.sampled_from([1, 2, 3]), max_size=8), st.integers(1, 4), st.data())
def test_stride_times_dilation_is_what_the_table_says_at_every_stage(strides, stem, data):
    reachable = [stem * math.prod(strides[:count]) for count in range(len(strides) + 1)]
    output_stride = data.draw(st.sampled_from(reachable))
    grids = plan_strides(strides, output_stride, stem)
    assert stem * math.prod(grid.stride for grid in grids) == output_stride
    before, nominal = stem, stem
    for grid, stride in zip(grids, strides, strict=True):
        assert before * grid.dilation == nominal
        before, nominal = before * grid.stride, nominal * stride


@pytest.mark.parametrize(("output_stride", "given_"), [(64, 32), (12, 32), (1, 32)])
def test_an_output_stride_out_of_reach_is_refused_with_what_was_reached(output_stride, given_):
    with pytest.raises(
        ConfigError, match=rf"output_stride={output_stride} cannot .* of 2 give {given_}; expected one of"
    ):
        plan_strides((2, 2, 2, 2), output_stride)
