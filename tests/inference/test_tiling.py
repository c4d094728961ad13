from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xseg.errors import ConfigError
from xseg.inference.tiling import ALIGNMENT, TilePlan, Tiling, check_tiling


@st.composite
def plans(draw):
    tile = draw(st.integers(8, 200))
    size = st.integers(1, 400)
    overlap = draw(st.integers(0, tile // 2))
    height, width = draw(size), draw(size)
    return TilePlan.fit(height, width, tile=tile, overlap=overlap), Tiling(tile, overlap)


def weight_of_all(spans, size):
    total, times = np.zeros(size), np.zeros(size, int)
    for span in spans:
        total[span.low : span.high] += span.weights()
        times[span.low : span.high] += 1
    return total, times


@settings(max_examples=50, deadline=None)
@given(plans())
def test_the_weights_add_up_to_1_at_every_pixel_and_at_most_two_tiles_meet(case):
    plan, _ = case
    for spans, size in ((plan.rows, plan.height), (plan.columns, plan.width)):
        total, times = weight_of_all(spans, size)
        np.testing.assert_allclose(total, 1, atol=1e-6)
        assert times.max() <= 2


@settings(max_examples=50, deadline=None)
@given(plans())
def test_tiles_are_of_one_size_and_lie_inside_the_image(case):
    plan, tiling = case
    for spans, size in ((plan.rows, plan.height), (plan.columns, plan.width)):
        assert {span.stop - span.start for span in spans} == {min(size, tiling.tile)}
        assert spans[0].start == 0
        assert spans[-1].stop == size
        for span in spans:
            assert span.start <= span.low <= span.low + span.fade_in <= span.done <= span.high <= span.stop
            assert span.low < span.done
            assert span.weights().min() > 0
            assert span.weights().max() <= 1


@settings(max_examples=50, deadline=None)
@given(plans())
def test_neighbours_share_at_least_the_overlap_and_all_but_the_last_are_aligned(case):
    plan, tiling = case
    for spans in (plan.rows, plan.columns):
        for before, after in pairwise(spans):
            assert before.stop - after.start >= tiling.overlap
            assert before.done == after.low
            assert before.high == after.low + after.fade_in
        if tiling.tile - tiling.overlap >= ALIGNMENT:
            assert all(span.start % ALIGNMENT == 0 for span in spans[:-1])


@settings(max_examples=50, deadline=None)
@given(plans())
def test_a_tile_counts_only_where_it_has_context_unless_the_image_ends(case):
    plan, tiling = case
    for spans, size in ((plan.rows, plan.height), (plan.columns, plan.width)):
        margin = (tiling.overlap - round(tiling.overlap / 2)) // 2
        for span in spans:
            assert span.low == 0 or span.low - span.start >= margin
            assert span.high == size or span.stop - span.high >= margin


@settings(max_examples=50, deadline=None)
@given(plans(), st.integers(1, 900))
def test_strips_cover_every_pixel_once_within_their_width(case, max_width):
    plan, _ = case
    covered = np.zeros((plan.height, plan.width), int)
    for strip in plan.strips(max_width):
        left, right = strip[0].column.low, max(tile.column.high for tile in strip)
        columns = {tile.column for tile in strip}
        assert right - left <= max_width or len(columns) <= 2
        for tile in strip:
            assert tile.again == (tile.column is strip[0].column and left > 0)
            if not tile.again:
                covered[tile.finished] += 1
    assert (covered == 1).all()


def test_a_strip_goes_row_by_row_and_begins_with_the_column_that_the_last_one_ended_with():
    plan = TilePlan.fit(200, 300, tile=100, overlap=36)  # columns at 0, 64, 128, 160, 200
    first, second = plan.strips(max_width=230)
    assert [(tile.row.start, tile.column.start) for tile in first][:4] == [(0, 0), (0, 64), (0, 128), (64, 0)]
    assert [(tile.row.start, tile.column.start, tile.again) for tile in second][:3] == [
        (0, 128, True),
        (0, 160, False),
        (0, 200, False),
    ]


@settings(max_examples=50, deadline=None)
@given(plans())
def test_tiles_are_as_few_as_cover_the_image_and_spread_evenly(case):
    plan, tiling = case
    step = tiling.tile - tiling.overlap
    for spans, size in ((plan.rows, plan.height), (plan.columns, plan.width)):
        grid = ALIGNMENT if step >= ALIGNMENT else 1
        assert (len(spans) - 2) * (step // grid * grid) + tiling.tile < size or len(spans) == 1
        steps = [after.start - before.start for before, after in pairwise(spans)]
        assert max(steps, default=0) - min(steps, default=0) < 2 * grid


def test_a_whole_image_and_a_small_image_are_one_tile():
    for plan in (TilePlan.fit(30, 500, tile=0, overlap=64), TilePlan.fit(30, 500, tile=512, overlap=64)):
        assert plan.count == 1
        (strip,) = plan.strips(1)
        assert strip[0].pixels == (slice(0, 30), slice(0, 500))
        assert (strip[0].row.weights() == 1).all()


def test_the_middle_of_a_fade_is_half_of_each():
    before, after = TilePlan.fit(1, 932, tile=516, overlap=100).columns[:2]
    fade = after.weights()[: after.fade_in]
    assert after.fade_in == before.high - before.done == 50
    np.testing.assert_allclose(fade + before.weights()[-50:], 1, atol=1e-6)
    np.testing.assert_allclose(fade[24:26].mean(), 0.5, atol=1e-6)
    assert (np.diff(fade) > 0).all()


@pytest.mark.parametrize(
    ("tile", "overlap", "message"),
    [
        (-1, None, "tile=-1; expected auto, 0"),
        ("all", None, "tile='all'; expected auto, 0"),
        ("auto", -3, "overlap=-3; expected 0 or more"),
        (100, 51, "overlap=51 of tile=100; expected at most half a tile; use larger tiles"),
    ],
)
def test_a_tiling_that_cannot_be_is_one_clear_line(tile, overlap, message):
    with pytest.raises(ConfigError, match=message):
        check_tiling(tile, overlap)


@pytest.mark.parametrize(("tile", "overlap"), [("auto", None), ("auto", 900), (0, 64), (512, 256), (1, 0), (7, None)])
def test_a_tiling_that_can_be_is_taken(tile, overlap):
    check_tiling(tile, overlap)


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ConfigError, match="5x0 pixels"):
        TilePlan.fit(5, 0, tile=4, overlap=0)
