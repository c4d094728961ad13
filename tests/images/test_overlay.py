from __future__ import annotations

import numpy as np

from xseg.images.overlay import ALPHA, add_legend, blend, hatch_ignored
from xseg.inference.prediction import Prediction
from xseg.labels.label_map import LabelMap
from xseg.predict.outputs.overlay import Overlay

HALVES = LabelMap(("left", "right"), ((200, 0, 0), (0, 200, 0)))
CELLS = LabelMap(("background", "cell", "wall"), ((0, 0, 0), (200, 0, 0), (0, 200, 0)))


def halves():
    mask = np.zeros((6, 6), np.uint8)
    mask[:, 3:] = 1
    return np.full((6, 6, 3), 100, np.uint8), mask


def test_blending_tints_every_pixel_of_a_class_by_alpha():
    image, mask = halves()
    blended = blend(image, mask, HALVES, alpha=0.5)
    assert (blended[:, :3] == [150, 50, 50]).all()
    assert (blended[:, 3:] == [50, 150, 50]).all()
    np.testing.assert_array_equal(blend(image, mask, HALVES, alpha=0), image)
    np.testing.assert_array_equal(blend(image, mask, HALVES, alpha=1), np.asarray(HALVES.colors)[mask])


def test_outlines_are_drawn_by_option_in_the_full_colour_inside_each_region():
    image, mask = halves()
    drawn = blend(image, mask, HALVES, alpha=0, outlines=True)
    np.testing.assert_array_equal(drawn[:, [0, 1, 4, 5]], image[:, [0, 1, 4, 5]])
    assert (drawn[:, 2] == [200, 0, 0]).all()
    assert (drawn[:, 3] == [0, 200, 0]).all()


def test_the_background_shows_the_image_unchanged_and_is_not_in_the_legend():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 10:20], mask[30:] = 1, 2
    for outlines in (False, True):
        drawn = blend(image, mask, CELLS, outlines=outlines)
        np.testing.assert_array_equal(drawn[mask == 0], image[mask == 0])
        assert (drawn[mask != 0] != image[mask != 0]).any()
        legend = add_legend(drawn, [0, 1, 2], CELLS)
        np.testing.assert_array_equal(legend, add_legend(drawn, [1, 2, 255], CELLS))
    np.testing.assert_array_equal(add_legend(image, [0, 255], CELLS), image)


def test_overlays_have_the_same_style_everywhere_by_default():
    image, mask = halves()
    expected = blend(image, mask, HALVES)
    np.testing.assert_array_equal(Prediction(mask, image, HALVES).overlay(legend=False), expected)
    assert (Overlay().alpha, Overlay().outlines) == (ALPHA, False)


def test_ignored_pixels_are_striped_and_others_untouched():
    picture = np.full((20, 20, 3), 200, np.uint8)
    mask = np.zeros((20, 20), np.uint8)
    mask[10:] = 255
    drawn = hatch_ignored(picture, mask, 255)
    assert (drawn[:10] == 200).all()
    assert set(np.unique(drawn[10:])) == {100, 200}
