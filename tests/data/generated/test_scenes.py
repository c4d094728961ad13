"""Generated scenes are deterministic, exact, varied and whole."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from xseg.data.generated.scenes import LABELS, scene, scene_key, write_scenes
from xseg.errors import ConfigError
from xseg.types import SPLITS


def test_the_same_seed_draws_the_same_pixels_and_another_seed_others():
    for size in ((64, 96), (128, 192)):
        (image, mask), (again, same) = scene(5, *size), scene(5, *size)
        assert np.array_equal(image, again)
        assert np.array_equal(mask, same)
        assert not np.array_equal(image, scene(6, *size)[0])


def test_scenes_do_not_touch_global_random_numbers():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    scene(1, 64, 96)
    assert np.array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize("size", [(32, 32), (33, 200), (200, 33), (97, 131), (360, 480)])
def test_any_size_from_32_gives_an_image_and_a_mask_of_it(size):
    image, mask = scene(2, *size)
    assert (image.shape, image.dtype) == ((*size, 3), np.uint8)
    assert (mask.shape, mask.dtype) == (size, np.uint8)
    assert mask.max() < len(LABELS)


def test_smaller_sizes_are_refused():
    with pytest.raises(ConfigError, match="31x64"):
        scene(0, 31, 64)


def test_every_class_has_a_fair_share_of_the_pixels_and_occurs_in_nearly_every_scene():
    counts = np.stack([np.bincount(scene(seed, 128, 192)[1].ravel(), minlength=len(LABELS)) for seed in range(30)])
    assert (counts.sum(0) / counts.sum() > 0.01).all()
    assert ((counts > 0).mean(0) > 0.9).all()


def test_labels_lie_where_the_picture_changes():
    """Colours inside a class vary less than over the whole picture: the mask belongs to the image."""
    inside, whole = 0.0, 0.0
    for seed in range(10):
        image, mask = scene(seed, 128, 192)
        for label in np.unique(mask):
            pixels = image[mask == label].astype(float)
            inside += pixels.var(0).sum() * len(pixels)
        whole += image.reshape(-1, 3).astype(float).var(0).sum() * mask.size
    assert inside < 0.6 * whole


def test_no_two_splits_share_a_scene():
    keys = [scene_key(seed, split, index) for seed in (0, 1) for split in SPLITS for index in range(50)]
    assert len(set(keys)) == len(keys)


def test_written_masks_are_indexed_pictures_in_the_classes_colours(scenes_root):
    with Image.open(scenes_root / "val" / "masks" / "000002.png") as picture:
        assert picture.mode == "P"
        colors = np.asarray(picture.convert("RGB"))
        values = np.asarray(picture)
    assert np.array_equal(colors, np.array(LABELS.colors)[values])
    files = [path for path in scenes_root.rglob("*") if path.is_file()]
    assert len(files) == 2 * (4 + 3 + 2) + 1
    assert not [path for path in files if path.name.startswith(".")]


def test_writing_again_changes_nothing(scenes_root):
    before = {path: path.read_bytes() for path in scenes_root.rglob("*.png")}
    assert write_scenes(scenes_root, counts=(4, 3, 2), size=(40, 56), seed=3) == {"train": 4, "val": 3, "test": 2}
    assert {path: path.read_bytes() for path in scenes_root.rglob("*.png")} == before
