"""Generated pictures of shapes."""

from __future__ import annotations

import numpy as np
import pytest

from xseg.data.generated.drawings import SHAPES, DrawnClasses, draw, write_drawings
from xseg.data.options import ClassDataOptions
from xseg.data.readers.class_folders import list_classes
from xseg.errors import ConfigError


@pytest.mark.parametrize("shape", SHAPES)
def test_a_seed_gives_the_same_pixels_and_another_seed_others(shape):
    picture = draw(shape, 3, 40)
    assert picture.shape == (40, 40, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, draw(shape, 3, 40))
    assert not np.array_equal(picture, draw(shape, 4, 40))


def test_only_the_shape_differs_between_classes_of_one_seed():
    """What is around it is drawn alike, so that nothing but the shape tells the class."""
    pictures = np.stack([draw(shape, 5, 64).astype(int) for shape in ("square", "star")])
    differs = np.abs(pictures[0] - pictures[1]).max(2) > 0
    assert 0 < differs.mean() < 0.3


def test_no_two_splits_share_a_picture_and_classes_alternate():
    drawn = DrawnClasses((6, 4), 40, ("ring", "star"))
    assert drawn.targets("train") == (0, 1, 0, 1, 0, 1)
    pictures = {drawn.read(record).image.tobytes() for split in ("train", "val") for record in drawn.records(split)}
    assert len(pictures) == 10


def test_written_folders_hold_the_same_pictures(tmp_path):
    drawn = DrawnClasses((4, 2), 40, ("ring", "star"))
    write_drawings(tmp_path, drawn)
    found = list_classes(ClassDataOptions(root=str(tmp_path)))
    assert found.classes == ("ring", "star")
    for split in ("train", "val"):
        by_name = {record.name: record for record in found.records(split)}
        for record in drawn.records(split):
            written = found.read(by_name[f"{record.name}.png"])
            assert np.array_equal(written.image, drawn.read(record).image)


@pytest.mark.parametrize(("shape", "size"), [("blob", 64), ("star", 16)])
def test_what_cannot_be_drawn_is_refused(shape, size):
    with pytest.raises(ConfigError, match="expected"):
        draw(shape, 0, size)
