"""A colour is its class's own, or close enough to be no other's, or told."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xseg.data.masks.colors import ColorMasks, discover_colors, read_colors
from xseg.errors import ConfigError, DataError
from xseg.labels.known import CAMVID32, VOID
from xseg.labels.label_map import LabelMap

LABELS = LabelMap(("a", "b", "c"), ((0, 0, 0), (200, 0, 0), (0, 200, 90)), raw_ids=(4, 300, 2))
WHITE = (255, 255, 255)
RNG = np.random.default_rng(0)


@given(tolerance=st.integers(0, 44), seed=st.integers(0, 2**16))
def test_colours_within_the_tolerance_are_their_classes(tolerance, seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 4, (7, 9))
    clean = np.array([*LABELS.colors, WHITE])[ids]
    off = np.clip(clean + rng.integers(-tolerance, tolerance + 1, clean.shape), 0, 255).astype(np.uint8)
    raw = ColorMasks(LABELS, (WHITE,), tolerance=tolerance if tolerance < 28 else 27).numbers(
        clean.astype(np.uint8), "m"
    )
    assert np.array_equal(raw, np.array([4, 300, 2, 255])[ids])
    if tolerance < 28:
        assert np.array_equal(ColorMasks(LABELS, (WHITE,), tolerance).numbers(off, "m"), raw)


def test_a_strange_colour_is_told_with_its_count_and_place_and_the_tolerance_that_would_take_it():
    colors = np.zeros((5, 6, 3), np.uint8)
    colors[3, 2:5], colors[4, 0] = (190, 7, 0), (1, 2, 60)
    with pytest.raises(DataError) as caught:
        ColorMasks(LABELS, tolerance=3).numbers(colors, "x.png")
    told = str(caught.value)
    assert told.startswith(
        "mask x.png has colour (190, 7, 0) in 3 pixels, first at row 3, column 2 and 1 more colours (4 of"
    )
    assert "of which b (200, 0, 0) is the nearest" in told
    assert "set layout.labels.tolerance to 60" in told


def test_colours_that_a_tolerance_cannot_tell_apart_are_refused():
    assert ColorMasks(CAMVID32, (VOID,), tolerance=31)
    with pytest.raises(ConfigError, match=r"differ by 64, with a tolerance of 32; .*set tolerance to 31 or less"):
        ColorMasks(CAMVID32, (VOID,), tolerance=32)
    with pytest.raises(ConfigError, match=r"a \(0, 0, 0\) and an ignored colour \(0, 0, 0\) differ by 0"):
        ColorMasks(LABELS, ((0, 0, 0),))


def test_a_mask_saved_as_jpeg_is_read_within_a_tolerance_and_refused_without():
    ids = np.kron(RNG.integers(0, 32, (5, 7)), np.ones((32, 32), int))
    colors = np.array([*CAMVID32.colors, VOID], np.uint8)[ids]
    buffer = io.BytesIO()
    Image.fromarray(colors).save(buffer, "JPEG", quality=95, subsampling=0)
    lossy = read_colors(buffer.getvalue(), name="m.jpg")
    assert not np.array_equal(lossy, colors)
    raw = ColorMasks(CAMVID32, (VOID,), tolerance=31).numbers(lossy, "m.jpg")
    assert np.array_equal(raw, np.where(ids == 31, 255, ids))
    with pytest.raises(DataError, match=r"mask m.jpg has colour .* more colours"):
        ColorMasks(CAMVID32, (VOID,)).numbers(lossy, "m.jpg")


def test_masks_higher_than_a_block_are_read_whole():
    ids = RNG.integers(0, 3, (2500, 3))
    colors = np.array(LABELS.colors, np.uint8)[ids]
    assert np.array_equal(ColorMasks(LABELS).numbers(colors, "m"), np.array(LABELS.raw_ids)[ids])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_palettes_colours_count_and_transparency_does_not(mode, tmp_path):
    ids = RNG.integers(0, 3, (6, 9))
    picture = Image.fromarray(np.array(LABELS.colors, np.uint8)[ids])
    picture = picture.convert(mode, palette=Image.Palette.ADAPTIVE)
    picture.save(tmp_path / "a.png")
    assert np.array_equal(read_colors(tmp_path / "a.png"), np.array(LABELS.colors)[ids])


def test_a_mask_of_numbers_has_no_colours(tmp_path):
    Image.fromarray(np.zeros((3, 3), np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="has numbers instead of colours"):
        read_colors(tmp_path / "a.png")


def test_colours_are_discovered_in_a_fixed_order_and_photographs_are_refused(tmp_path):
    for index, colors in enumerate(([(9, 9, 9), (200, 0, 0)], [(0, 200, 90), (9, 9, 9)])):
        Image.fromarray(np.array([colors], np.uint8)).save(tmp_path / f"{index}.png")
    assert discover_colors(sorted(tmp_path.iterdir()), 2) == ((0, 200, 90), (9, 9, 9), (200, 0, 0))
    Image.fromarray(RNG.integers(0, 256, (20, 20, 3), np.uint8)).save(tmp_path / "photo.png")
    with pytest.raises(DataError, match=r"photo.png have more than 256 colours"):
        discover_colors([tmp_path / "photo.png"], 1)
