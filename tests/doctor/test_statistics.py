"""Statistics are those of all pixels, however they are counted; what was measured is kept until files change."""

from __future__ import annotations

import json

import numpy as np
import pytest

from xseg.data.cache import cache_folder
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.data.sample import Sample
from xseg.doctor.statistics import (
    channel_statistics,
    combined,
    existing_splits,
    measured,
    normalization_of,
    split_statistics,
)
from xseg.errors import DataError
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap

LABELS = LabelMap(("a", "b", "c"))


def samples(kind, channels, count=3):
    rng = np.random.default_rng(0)
    maximum = 1 if kind == np.float32 else np.iinfo(kind).max
    for index in range(count):
        image = (rng.random((10 + index, 12, channels)) ** 2 * maximum).astype(kind)
        yield Sample(str(index), image, rng.choice([0, 2, 255], image.shape[:2]).astype(np.uint8))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_channels_are_measured_over_all_pixels(kind, channels):
    found = combined((measured(sample, LABELS) for sample in samples(kind, channels)), LABELS)
    pixels = np.concatenate([sample.image.reshape(-1, channels) for sample in samples(kind, channels)]).astype(float)
    maximum = 1 if kind == np.float32 else np.iinfo(kind).max
    assert np.allclose(found.channels.mean, pixels.mean(0) / maximum)
    assert np.allclose(found.channels.std, pixels.std(0) / maximum)
    assert np.allclose(found.channels.low, pixels.min(0))
    assert np.allclose(found.channels.high, pixels.max(0))
    assert found.channels.maximum == maximum


def test_classes_sizes_and_what_is_ignored_are_counted():
    unlabelled = Sample("x", np.zeros((10, 12, 3), np.uint8), None)
    found = combined((measured(sample, LABELS) for sample in [*samples(np.uint8, 3), unlabelled]), LABELS)
    masks = np.concatenate([sample.mask.ravel() for sample in samples(np.uint8, 3)])
    assert found.class_pixels == ((masks == 0).sum(), 0, (masks == 2).sum())
    assert found.class_images == (3, 0, 3)
    assert found.ignored == (masks == 255).sum()
    assert (found.images, found.unlabelled) == (4, 1)
    assert found.sizes == {(10, 12): 2, (11, 12): 1, (12, 12): 1}
    plain = found.to_dict(LABELS)
    assert json.loads(json.dumps(plain))["channels"]["maximum"] == 255
    assert plain["classes"]["b"] == {"pixels": 0, "share": 0.0, "images": 0}


def test_images_of_two_kinds_have_no_common_statistics():
    mixed = [next(samples(np.uint8, 3)), next(samples(np.uint16, 3))]
    with pytest.raises(DataError, match="images of uint8 with 3 channels and of uint16 with 3; expected one type"):
        combined((measured(sample, LABELS) for sample in mixed), LABELS)


def test_a_channel_of_one_value_becomes_0_and_not_infinite():
    image = np.full((4, 4, 2), 100, np.uint8)
    image[..., 1] = np.arange(16).reshape(4, 4)
    found = combined([measured(Sample("a", image, None), LABELS)], LABELS).channels.normalization()
    assert found.mean[0] == 100 / 255
    assert min(found.std) > 0


@pytest.fixture
def options(scenes_root, tmp_path):
    return DataOptions(
        reader="folder", root=str(scenes_root), cache_folder=str(tmp_path / "cache"), normalization="auto"
    )


def test_statistics_are_measured_once_and_again_when_a_file_changes(options, monkeypatch, save):
    reader = create_reader(options)
    found = channel_statistics(reader, options)
    (kept,) = cache_folder(options).glob("statistics/*.json")
    monkeypatch.setattr("xseg.doctor.statistics.split_statistics", lambda *_, **__: pytest.fail("measured again"))
    assert channel_statistics(reader, options) == found
    monkeypatch.undo()
    save(np.zeros((40, 56, 3), np.uint8), reader.records("train")[0].image)
    changed = channel_statistics(reader, options)
    assert changed.mean[0] < found.mean[0]
    assert kept.is_file()


@pytest.mark.parametrize("damage", ["", "{}", "[1]", '{"mean": 3, "maximum": 255}'])
def test_a_damaged_file_is_measured_anew(options, damage):
    reader = create_reader(options)
    found = channel_statistics(reader, options)
    (kept,) = cache_folder(options).glob("statistics/*.json")
    kept.write_text(damage)
    assert channel_statistics(reader, options) == found
    assert json.loads(kept.read_text())["mean"] == list(found.mean)


def test_normalization_is_the_xceptions_own_or_measured(options):
    reader = create_reader(options)
    assert normalization_of(reader, DataOptions(reader="folder", root=options.root)) == Normalization()
    automatic = normalization_of(reader, options)
    images = np.stack([reader.read(record).image for record in reader.records("train")])
    values = (images / 255 - automatic.mean) / automatic.std
    assert np.allclose(values.mean((0, 1, 2)), 0, atol=1e-9)
    assert np.allclose(values.std((0, 1, 2)), 1)


def test_processes_measure_what_one_process_measures():
    options = DataOptions(reader="scenes", layout=scenes(counts=(70, 1, 1), size=(32, 32)))
    reader = create_reader(options)
    assert split_statistics(reader, "train", workers=2) == split_statistics(reader, "train")


def scenes(**values):
    from xseg.data.layout import LayoutOptions, SceneOptions

    return LayoutOptions(scenes=SceneOptions(**values))


def test_splits_that_do_not_exist_are_left_out_but_training_must(scenes_root, options):
    reader = create_reader(options)
    assert existing_splits(reader) == {"train": 4, "val": 3, "test": 2}
    for path in (scenes_root / "test").rglob("*.png"):
        path.unlink()
    assert existing_splits(reader) == {"train": 4, "val": 3}
    for path in (scenes_root / "train").rglob("*.png"):
        path.unlink()
    with pytest.raises(DataError, match="train"):
        existing_splits(reader)
