from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from xseg.images.normalization import Normalization
from xseg.images.overlay import blend
from xseg.labels.label_map import LabelMap
from xseg.training.callbacks.assembly import run_callbacks
from xseg.training.callbacks.pictures import WIDTH, draw_row, spread, stored_pixels
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.options.run import RunOptions


def test_a_picture_per_epoch_of_the_same_images(tiny, tmp_path):
    run = RunDirectory(tmp_path)
    callbacks = run_callbacks(run, RunOptions(pictures=2), seed=0, validation_names=["0", "1", "2"])
    tiny.tiny_trainer(tmp_path, callbacks, 2).fit(tiny.tiny_task(), datamodule=tiny.HalvesData())
    assert sorted(path.name for path in run.pictures.iterdir()) == ["epoch_0001.png", "epoch_0002.png"]
    first, second = (np.asarray(Image.open(path)) for path in sorted(run.pictures.iterdir()))
    assert first.shape == (2 * WIDTH + 2, 3 * WIDTH, 3)
    assert (first[:, :WIDTH] == second[:, :WIDTH]).all(), "the image"
    assert (first[:, WIDTH : 2 * WIDTH] == second[:, WIDTH : 2 * WIDTH]).all(), "the label"
    image = first[:WIDTH, :WIDTH].astype(int)
    assert image[:, 20:140].mean() < image[:, 180:300].mean() - 50, "the first image's right half is the brighter one"


def test_they_have_the_style_of_overlays_which_leaves_the_background_clear():
    labels = LabelMap(("background", "cell"), ((0, 0, 0), (0, 255, 0)))
    task = SimpleNamespace(labels=labels, normalization=Normalization())
    mask = np.zeros((WIDTH, WIDTH), np.int64)
    mask[:, 100:] = 1
    row = draw_row(np.zeros((3, WIDTH, WIDTH), np.float32), mask, 1 - mask, task)
    image, label, prediction = np.split(row, 3, axis=1)
    np.testing.assert_array_equal(label, blend(image, mask, labels))
    np.testing.assert_array_equal(label[:, :100], image[:, :100])
    np.testing.assert_array_equal(prediction[:, 100:], image[:, 100:])


@pytest.mark.parametrize(
    ("count", "world", "expected"), [(2, 1, ["a", "d"]), (9, 1, [*"abcdef"]), (2, 2, ["a", "c"]), (1, 1, ["a"])]
)
def test_the_images_are_spread_over_those_of_the_first_process(count, world, expected):
    assert spread("abcdef", count, world) == expected


def test_pixels_are_drawn_as_they_were_stored():
    stored = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    for normalization in (Normalization(), Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))):
        mean, std = np.float32(normalization.mean), np.float32(normalization.std)
        image = ((stored / np.float32(255) - mean) / std).transpose(2, 0, 1).astype(np.float32)
        assert (stored_pixels(image, normalization) == stored).all()
