"""Generated shapes overlap in every combination, are exact and repeatable, and some images have none."""

from __future__ import annotations

import numpy as np

from xseg.data.generated.scenes import OVERLAPPING_LABELS as LABELS
from xseg.data.generated.scenes import overlapping_scene


def test_every_combination_of_classes_occurs_and_some_images_have_none():
    scenes = [overlapping_scene(seed, 48, 64) for seed in range(40)]
    codes = [set(np.unique(mask @ np.array([1, 2, 4])).tolist()) for _, mask in scenes]
    assert set().union(*codes) == set(range(8))
    assert {0} in codes
    for image, mask in scenes:
        assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((48, 64, 3), np.uint8, (48, 64, 3), np.uint8)
    assert all(np.array_equal(one, two) for one, two in zip(scenes[3], overlapping_scene(3, 48, 64), strict=True))
    assert LABELS.overlapping
    assert len(LABELS) == 3


def test_a_class_colours_its_pixels():
    image, mask = overlapping_scene(1, 64, 64)
    for index in range(3):
        only = (mask.sum(axis=2) == 1) & (mask[..., index] == 1)
        if only.any():
            assert image[only].mean(axis=0).argmax() == index
