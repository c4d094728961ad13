from __future__ import annotations

import base64
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xseg.images.overlay import add_legend, blend, displayable, font_size
from xseg.inference.prediction import Prediction, save_image, save_mask
from xseg.labels.label_map import LabelMap

NAMES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
STREET = LabelMap(NAMES)


def prediction_of(mask, labels=STREET, value=100):
    return Prediction(mask, np.full((*mask.shape, 3), value, np.uint8), labels)


def random_mask(height=40, width=50, classes=11, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, classes, (height, width)).astype(dtype)


def test_a_saved_mask_is_an_indexed_png_that_shows_the_classes_colours(tmp_path):
    mask = random_mask()
    path = prediction_of(mask).save(tmp_path / "deep" / "mask.png")
    with Image.open(path) as saved:
        assert saved.mode == "P"
        np.testing.assert_array_equal(np.asarray(saved), mask)
        shown = np.asarray(saved.convert("RGB"))
    np.testing.assert_array_equal(shown, np.asarray(STREET.colors)[mask])
    assert [entry.name for entry in path.parent.iterdir()] == ["mask.png"]


def test_a_mask_keeps_the_highest_train_ids_and_ignored_pixels(tmp_path):
    mask = np.array([[0, 255], [254, 1]], np.uint8)
    save_mask(mask, LabelMap(tuple(map(str, range(255)))), tmp_path / "mask.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "mask.png")), mask)


def test_a_mask_of_more_than_256_classes_is_16_bit_grey(tmp_path):
    mask = random_mask(classes=300, dtype=np.uint16)
    mask[0, 0] = 65535
    labels = LabelMap(tuple(map(str, range(300))), ignore_index=65535)
    save_mask(mask, labels, tmp_path / "mask.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "mask.png")), mask)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = prediction_of(random_mask()).save(tmp_path / "mask.png")
    before = path.read_bytes()

    def disk_full(self, file, **_):
        Path(file).write_bytes(b"half a file")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", disk_full)
    for write in (
        lambda: prediction_of(random_mask()).save(path),
        lambda: save_image(np.zeros((2, 2, 3), np.uint8), path),
    ):
        with pytest.raises(OSError, match="No space left"):
            write()
    assert [entry.name for entry in tmp_path.iterdir()] == ["mask.png"]
    assert path.read_bytes() == before


def test_pixels_counts_every_class_by_name():
    pixels = prediction_of(np.array([[0, 3], [3, 3]], np.uint8)).pixels
    assert list(pixels) == list(NAMES)
    assert {name: count for name, count in pixels.items() if count} == {"sky": 1, "road": 3}


def test_ignored_pixels_are_not_tinted():
    image, mask = np.full((4, 4, 3), 100, np.uint8), np.full((4, 4), 255, np.uint8)
    np.testing.assert_array_equal(blend(image, mask, STREET, alpha=0.7), image)


@pytest.mark.parametrize(("height", "width"), [(360, 480), (128, 192), (1080, 1920), (40, 30), (1, 1), (300, 20)])
def test_the_legend_is_a_strip_below_that_covers_no_pixel_of_the_picture(height, width):
    prediction = prediction_of(random_mask(height, width))
    plain, legend = prediction.overlay(legend=False), prediction.overlay()
    assert plain.shape == (height, width, 3)
    assert legend.dtype == np.uint8
    assert legend.shape[0] > height
    assert legend.shape[1] == width
    np.testing.assert_array_equal(legend[:height], plain)


def swatches(legend, height, labels):
    """Return the names whose colour fills a square in the strip, by the number of its pixels."""
    strip = legend[height:].reshape(-1, 3)
    size = font_size(height, legend.shape[1]) - 2  # without the outline
    return [
        name
        for name, color in zip(labels.names, labels.colors, strict=True)
        if (strip == np.asarray(color)).all(axis=1).sum() == size * size
    ]


@pytest.mark.parametrize(("height", "width"), [(360, 480), (128, 192)])
@pytest.mark.parametrize("present", [[3], [0, 4, 10], list(range(11))])
def test_the_legend_has_a_whole_swatch_for_each_class_that_is_present_and_no_other(height, width, present):
    mask = np.resize(np.asarray(present, np.uint8), (height, width))
    legend = prediction_of(mask).overlay()
    assert swatches(legend, height, STREET) == [NAMES[index] for index in present]


def test_names_too_long_for_the_picture_are_shortened_and_stay_inside():
    labels = LabelMap(("a class whose name is far longer than any picture of this size is wide", "b"))
    legend = add_legend(np.zeros((50, 90, 3), np.uint8), [0, 1], labels)
    assert legend.shape[1] == 90
    assert (legend[50:, -2:] == 255).all(), "no letter touches the edge"


def test_no_class_no_legend():
    picture = np.zeros((5, 5, 3), np.uint8)
    assert add_legend(picture, [], STREET) is picture


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_image_can_be_displayed(channels, dtype):
    image = (np.random.default_rng(0).random((10, 12, channels)) * 200).astype(dtype)
    shown = displayable(image)
    assert shown.shape == (10, 12, 3)
    assert shown.dtype == np.uint8
    if dtype == np.uint8:
        np.testing.assert_array_equal(shown[..., 0], image[..., 0])
    else:
        assert shown.min() == 0
        assert shown.max() == 255
    displayable(np.zeros((3, 3, 1), np.float32))  # nothing to stretch


def test_a_notebook_shows_the_overlay():
    prediction = prediction_of(random_mask())
    encoded = re.fullmatch(r'<img alt="overlay" src="data:image/png;base64,([^"]+)">', prediction._repr_html_())
    with Image.open(BytesIO(base64.b64decode(encoded[1]))) as shown:
        np.testing.assert_array_equal(np.asarray(shown), prediction.overlay())
    large = prediction_of(np.zeros((50, 3000), np.uint8))._repr_html_()
    with Image.open(BytesIO(base64.b64decode(large.split("base64,")[1].rstrip('">')))) as shown:
        assert max(shown.size) == 1024
