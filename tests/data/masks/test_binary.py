"""Black is one class and white the other, whatever the file calls white; a file per class becomes one mask."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from xseg.data.masks.binary import BandMasks, BinaryMasks, ClassFileMasks, read_binary
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


OVERLAPPING = LabelMap(("a", "b", "c"), overlapping=True)
BANDS = np.random.default_rng(1).integers(0, 2, (6, 9, 3)).astype(np.uint8)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("suffix", [".png", ".npy", ".tif"])
def test_every_band_is_a_class_of_0_1_and_ignored(count, suffix, tmp_path):
    labels = LabelMap(tuple("abcdef"[:count]), overlapping=True)
    bands = np.random.default_rng(0).integers(0, 2, (6, 9, count)).astype(np.uint8)
    bands[2:4, 3, 0] = 255
    path = tmp_path / f"mask{suffix}"
    if suffix == ".npy":
        np.save(path, bands)
    elif suffix == ".tif" and count > 4:
        tifffile = pytest.importorskip("tifffile")
        tifffile.imwrite(path, bands, planarconfig="contig", photometric="minisblack")
    elif count > 4:
        pytest.skip("a PNG has up to four bands")
    else:
        Image.fromarray(bands[..., 0] if count == 1 else bands).save(path)
    if suffix == ".tif" and count == 2:
        pytest.skip("Pillow reads grey with alpha")
    assert np.array_equal(BandMasks(labels)(record(path)), bands)


def test_white_is_a_class_if_another_number_means_ignored(tmp_path):
    stored = BANDS * 255
    stored[1, 2, 0], stored[0, :, 2] = 128, 128
    Image.fromarray(stored).save(tmp_path / "a.png")
    labels = LabelMap(("a", "b", "c"), ignore_index=128, overlapping=True)
    assert np.array_equal(BandMasks(labels)(record(tmp_path / "a.png")), np.where(stored == 128, 128, stored // 255))
    with pytest.raises(DataError, match="has value 128 at row 0, column 0"):
        BandMasks(OVERLAPPING)(record(tmp_path / "a.png"))


def test_files_of_overlapping_classes_keep_every_class(tmp_path):
    paths = tuple(tmp_path / f"{name}.png" for name in "abc")
    for path, band in zip(paths, np.moveaxis(BANDS, 2, 0), strict=True):
        Image.fromarray(band * 255).save(path)
    whole = BandMasks(OVERLAPPING)(Record("a", paths[0], paths[0], paths))
    assert np.array_equal(whole, BANDS)
    without = BandMasks(OVERLAPPING)(Record("a", paths[0], paths[0], (paths[0], None, paths[2])))
    assert np.array_equal(without, BANDS * np.array([1, 0, 1], np.uint8))
    grey = LabelMap(("a", "b", "c"), ignore_index=100, overlapping=True)
    Image.fromarray(np.where(BANDS[..., 1] == 1, 255, 100).astype(np.uint8)).save(paths[1])
    ignored = BandMasks(grey)(Record("a", paths[0], paths[0], paths))
    assert np.array_equal(ignored[..., 1], np.where(BANDS[..., 1] == 1, 1, 100))


@pytest.mark.parametrize(
    ("bands", "said"),
    [
        (np.zeros((6, 9, 4), np.uint8), "has 4 channels; expected 2"),
        (np.zeros((6, 9, 2), np.float32), "has float32 values; expected integers"),
        (np.full((6, 9, 2), 7, np.uint8), "has value 7 at row 0, column 0"),
    ],
)
def test_wrong_bands_are_one_line(bands, said, tmp_path):
    np.save(tmp_path / "a.npy", bands)
    with pytest.raises(DataError, match=said) as caught:
        BandMasks(LabelMap(("a", "b"), overlapping=True))(record(tmp_path / "a.npy"))
    assert "\n" not in str(caught.value)
