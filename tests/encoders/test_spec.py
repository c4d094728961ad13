"""Tables that cannot be an encoder are refused when they are written down."""

import math
from dataclasses import replace

import pytest

from xseg.encoders.spec import CHANNEL_DIVISOR, MAX_DEPTH, scale_channels
from xseg.encoders.variants import encoder_spec, list_encoders
from xseg.errors import ConfigError


@pytest.mark.parametrize("width", [0, -1, math.nan, math.inf, -math.inf])
def test_widths_that_are_no_multiplier_are_refused(width):
    with pytest.raises(ConfigError, match="width="):
        encoder_spec("xception").scaled(width)


@pytest.mark.parametrize("name", list_encoders())
@pytest.mark.parametrize("width", [0.01, 0.3, 1, 2.5])
def test_scaled_channels_are_multiples_of_eight_next_to_what_was_asked(name, width):
    plain = encoder_spec(name)
    scaled = plain.scaled(width)
    assert scaled.strides == plain.strides
    for wide, channels in zip((*scaled.stem, *scaled.channels), (*plain.stem, *plain.channels), strict=True):
        assert wide % CHANNEL_DIVISOR == 0
        assert abs(wide - channels * width) <= CHANNEL_DIVISOR / 2 or wide == CHANNEL_DIVISOR
    assert (scaled is plain) == (width == 1)


def test_channels_never_vanish():
    assert [scale_channels(32, width) for width in (0.001, 0.125, 0.374, 0.376)] == [8, 8, 8, 16]


@pytest.mark.parametrize("depth", [0, MAX_DEPTH + 1])
def test_depths_that_are_not_there_are_refused(depth):
    with pytest.raises(ConfigError, match=f"depth={depth}; expected 1 to 5"):
        encoder_spec("xception65").truncated(depth)


@pytest.mark.parametrize("name", list_encoders())
def test_a_truncated_table_gives_the_first_maps(name):
    whole = encoder_spec(name)
    for depth in range(1, MAX_DEPTH + 1):
        cut = whole.truncated(depth)
        assert cut.channels[-1] == whole.channels[depth - 1]
        assert cut.strides.count(2) == min(depth, MAX_DEPTH) - 1


def test_a_sum_of_unequal_channels_and_a_table_without_stages_are_refused():
    table = encoder_spec("xception")
    last = table.stages[-1]
    with pytest.raises(ConfigError, match=r"stage 12 of xception adds 1024 channels to 2048; .*skip='conv'"):
        replace(table, stages=(*table.stages[:-1], replace(last, skip="sum")))
    with pytest.raises(ConfigError, match="xception without stages"):
        replace(table, stages=())


def test_a_multi_grid_is_one_factor_per_convolution_of_the_last_block():
    table = encoder_spec("xception65")
    assert table.with_multi_grid((1, 2, 4)).stages[-1].multi_grid == (1, 2, 4)
    assert table.with_multi_grid((1, 1, 1)) is table
    with pytest.raises(ConfigError):
        table.with_multi_grid((1, 2))
