from __future__ import annotations

import numpy as np

from xseg.images.overlay import hatch_ignored


def test_ignored_pixels_are_striped_and_others_untouched():
    picture = np.full((20, 20, 3), 200, np.uint8)
    mask = np.zeros((20, 20), np.uint8)
    mask[10:] = 255
    drawn = hatch_ignored(picture, mask, 255)
    assert (drawn[:10] == 200).all()
    assert set(np.unique(drawn[10:])) == {100, 200}
