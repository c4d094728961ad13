"""Black is one class and white the other, whatever the file calls white; a file per class becomes one mask."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from xseg.data.masks.binary import BinaryMasks, ClassFileMasks, read_binary
from xseg.data.sample import Record
from xseg.errors import DataError
from xseg.labels.label_map import LabelMap

BITS = np.random.default_rng(0).integers(0, 2, (6, 9)).astype(np.uint8)
LABELS = LabelMap(("background", "thing"), raw_ids=(7, 3))


def record(path):
    return Record("a", path, path)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("one.png", BITS),
        ("white.png", BITS * 255),
        ("bit.png", BITS.astype(bool)),
        ("deep.png", BITS.astype(np.uint16) * 65535),
        ("equal.png", np.repeat(BITS[..., None] * 255, 3, axis=2)),
        ("page.gif", BITS * 255),
        ("page.tif", BITS * 255),
        ("bits.tif", BITS.astype(bool)),
    ],
)
def test_white_is_one_in_every_file(name, array, tmp_path):
    Image.fromarray(array).save(tmp_path / name)
    assert np.array_equal(read_binary(tmp_path / name), BITS)
    assert np.array_equal(BinaryMasks(LABELS)(record(tmp_path / name)), np.where(BITS, 3, 7))


def test_a_palettes_colours_tell_black_from_white_and_not_its_indices(tmp_path):
    picture = Image.fromarray(BITS, mode="P")
    picture.putpalette([255, 255, 255, 0, 0, 0])  # index 1 is black
    picture.save(tmp_path / "a.png")
    assert np.array_equal(read_binary(tmp_path / "a.png"), 1 - BITS)


def test_arrays_of_truth_are_read(tmp_path):
    np.save(tmp_path / "a.npy", BITS.astype(bool))
    assert np.array_equal(read_binary(tmp_path / "a.npy"), BITS)


def test_grey_between_is_read_within_a_tolerance_and_told_beyond(tmp_path):
    grey = BITS * 249 + (1 - BITS) * 4
    grey[2, 5] = 120
    Image.fromarray(grey).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"has value 120 at row 2, column 5; 1 of 54 pixels .*set .*tolerance to 120"):
        read_binary(tmp_path / "a.png", tolerance=6)
    grey[2, 5] = 255
    Image.fromarray(grey).save(tmp_path / "a.png")
    assert np.array_equal(read_binary(tmp_path / "a.png", tolerance=6), np.where(grey > 100, 1, 0))
    with pytest.raises(DataError, match="tolerance to 6"):
        read_binary(tmp_path / "a.png")


def test_a_colour_mask_is_told(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="is a colour image"):
        read_binary(tmp_path / "a.png")


def parts(tmp_path, masks):
    paths = []
    for index, mask in enumerate(masks):
        paths.append(None if mask is None else tmp_path / f"{index}.png")
        if mask is not None:
            Image.fromarray(mask).save(paths[-1])
    first = next((path for path in paths if path is not None), None)
    return Record("a", tmp_path / "image.png", first, tuple(paths))


def test_later_classes_lie_on_top_and_what_none_covers_is_background_or_ignored(tmp_path):
    labels = LabelMap(("sky", "a", "b"), raw_ids=(10, 20, 30))
    one, two = np.zeros((3, 4), bool), np.zeros((3, 4), bool)
    one[:2], two[1:2] = True, True
    found = parts(tmp_path, [None, one, two])
    expected = np.array([[20] * 4, [30] * 4, [10] * 4])
    assert np.array_equal(ClassFileMasks(labels, "sky")(found), expected)
    assert np.array_equal(ClassFileMasks(labels, "no such class")(found), np.where(expected == 10, 255, expected))


def test_class_files_of_two_sizes_and_an_image_without_any_are_told(tmp_path):
    labels = LabelMap(("a", "b"))
    with pytest.raises(DataError, match=r"mask .*1.png is 3x5 and .*0.png 3x4; expected the same size"):
        ClassFileMasks(labels)(parts(tmp_path, [np.ones((3, 4), bool), np.ones((3, 5), bool)]))
    with pytest.raises(DataError, match="has no class file"):
        ClassFileMasks(labels)(parts(tmp_path, [None, None]))
