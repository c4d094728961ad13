"""Every reader of files ignores what lies outside the valid regions, wherever these come from."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest
from PIL import Image
from replicas import REPLICAS, write_drive

from xseg.data.cache import file_stamp, reader_identity
from xseg.data.layout import FileOptions
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.doctor.examination import examine, list_splits
from xseg.doctor.quick_look import check_split
from xseg.errors import ConfigError, DataError
from xseg.files.serialization import from_plain
from xseg.types import SPLITS

FILES = [name for name in REPLICAS if name not in ("scenes", "folder/drive", "folder/beside", "list/valid")]


def with_valid(options, pattern):
    layout = options.layout
    return replace(options, layout=replace(layout, files=replace(layout.files, valid=pattern)))


def region(record, size):
    """A region that differs from image to image."""
    return np.random.default_rng(len(record.name) + sum(record.name.encode())).random(size) < 0.7


@pytest.mark.parametrize("name", FILES)
def test_only_the_valid_region_counts_with_every_reader(name, tmp_path):
    root = tmp_path / "data"
    options = DataOptions(**REPLICAS[name](root))
    whole = create_reader(options)
    for split in SPLITS:
        with suppress(DataError):
            for record in whole.records(split):
                path = root / "fov" / whole.splits.names[SPLITS.index(split)] / f"{record.name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(region(record, whole.inspect(record).size)).save(path)
    options = with_valid(options, "fov/{split}")
    reader = create_reader(options)
    ignored, pixels = reader.labels.ignore_index, 0
    for split in ("train", "val"):
        for record, before in zip(reader.records(split), whole.records(split), strict=True):
            sample, old = reader.read(record), whole.read(before)
            inside = region(record, sample.mask.shape)
            assert np.array_equal(sample.mask, np.where(inside, old.mask, ignored))
            assert np.array_equal(sample.image, old.image)
            assert file_stamp(record) != file_stamp(before)
            pixels += int((sample.mask != ignored).sum())
        assert check_split(reader, split).class_pixels.sum() > 0
    summary = examine(reader, options, list_splits(reader)).summary
    assert sum(summary.class_pixels("train")) + sum(summary.class_pixels("val")) == pixels
    assert all(not pair.fault for found in summary.splits.values() for pair in found.pairs)


def test_one_file_may_hold_the_region_of_all_images_and_numbers_may_be_anything_but_0(tmp_path, save):
    root = tmp_path / "data"
    options = DataOptions(**REPLICAS["folder"](root))
    hood = np.zeros((48, 64), np.uint8)
    hood[:40] = 3
    save(hood, root / "hood.png")
    reader = create_reader(with_valid(options, "hood.png"))
    for split in ("train", "val"):
        for record in reader.records(split):
            mask = reader.read(record).mask
            assert (mask[40:] == 255).all()
            assert (mask[:40] != 255).any()


def test_regions_count_for_overlapping_classes_too(tmp_path, save):
    root = tmp_path / "data"
    options = DataOptions(**REPLICAS["folder/files"](root))
    labels = replace(options.layout.labels, overlapping=True)
    options = replace(options, layout=replace(options.layout, labels=labels))
    hood = np.zeros((60, 84), np.uint8)
    hood[:40] = 1
    save(hood, root / "hood.png")
    whole, reader = create_reader(options), create_reader(with_valid(options, "hood.png"))
    for record, before in zip(reader.records("train"), whole.records("train"), strict=True):
        mask = reader.read(record).mask
        assert mask.shape == (60, 84, 3)
        assert (mask[40:] == reader.labels.ignore_index).all()
        assert np.array_equal(mask[:40], whole.read(before).mask[:40])
    assert (check_split(reader, "train").class_pixels < check_split(whole, "train").class_pixels).any()


def test_a_region_is_found_by_the_last_part_of_a_name_unless_two_images_share_it(tmp_path, save):
    root = tmp_path / "data"
    options = DataOptions(**REPLICAS["list"](root))
    for name in ("train_0", "train_1"):
        save(np.ones((60, 84), np.uint8), root / "fov" / f"{name}.png")
    records = create_reader(with_valid(options, "fov/{name}.png")).records("train")
    assert [record.valid.stem for record in records] == ["train_0", "train_1"]
    (root / "other").mkdir()
    (root / "other" / "train_0.jpg").write_bytes((root / "rgb" / "train_0.jpg").read_bytes())
    (root / "train.txt").write_text("rgb/train_0.jpg gt/train_0_gt.png\nother/train_0.jpg gt/train_0_gt.png\n")
    with pytest.raises(DataError, match=r"^2 of 2 images of the train split have no mask of the valid region"):
        create_reader(with_valid(options, "fov/{name}.png")).records("train")


def test_faults_of_regions_are_one_line(tmp_path, save):
    root = tmp_path / "data"
    options = DataOptions(**write_drive(root))
    (gone, small, *_) = create_reader(options).records("train")
    save(np.ones((60, 80), np.uint8), small.valid)
    with pytest.raises(DataError, match=rf"{small.name}_training_mask.gif is 60x80 and .*_manual1.gif 60x84; expected"):
        check_split(create_reader(options), "train")
    reader = create_reader(options)
    faults = [
        pair.mask_file.fault for pair in examine(reader, options, list_splits(reader)).summary.splits["train"].pairs
    ]
    assert sum("60x80" in fault for fault in faults) == 1
    small.valid.write_bytes(b"")
    with pytest.raises(DataError, match=r"_training_mask\.gif is empty"):
        check_split(create_reader(options), "train")
    gone.valid.unlink()
    with pytest.raises(
        DataError, match=rf"^1 of 8 images of the training split have no .*: \S*{gone.name}_training.tif;"
    ):
        create_reader(options).records("train")


def test_a_reader_without_files_refuses_regions(tmp_path):
    with pytest.raises(ConfigError, match="a reader of image files"):
        create_reader(with_valid(DataOptions(**REPLICAS["scenes"](tmp_path / "data")), "fov"))


def test_a_region_is_named_once():
    with pytest.raises(ConfigError, match=r"valid='fov' with valid_column='fov'; expected one of them"):
        FileOptions(valid="fov", valid_column="fov")
    with pytest.raises(ConfigError, match=r"\{class\}"):
        FileOptions(valid="{class}")


@pytest.mark.parametrize("name", ["folder", "huggingface"])
@pytest.mark.parametrize(("channels", "bands"), [("green", [1]), ([3], [2]), ([3, 1, 1], [2, 0, 0]), ("grey", None)])
def test_only_some_bands_are_read_by_readers_of_files(channels, bands, name, tmp_path):
    options = DataOptions(**REPLICAS[name](tmp_path / "data"))
    chosen, whole = replace(options, channels=channels), create_reader(options)
    reader = create_reader(chosen)
    assert reader.channels == chosen.channel_count == (1 if bands is None else len(bands))
    assert reader_identity(chosen, reader) != reader_identity(options, whole)
    for record in reader.records("train"):
        image, colors = reader.read(record).image, whole.read(record).image
        expected = cv2.cvtColor(colors, cv2.COLOR_RGB2GRAY)[..., None] if bands is None else colors[..., bands]
        assert np.abs(image.astype(int) - expected).max() <= (1 if bands is None else 0)
    assert from_plain(DataOptions, {"channels": asdict(chosen)["channels"]}, "data").channels == chosen.channels


@pytest.mark.parametrize(
    ("channels", "told"), [([0], "channels=.0,.; expected 1 or more"), ([], "1 or more"), ("pink", "pink")]
)
def test_other_channels_are_refused(channels, told):
    with pytest.raises(ConfigError, match=told):
        DataOptions(channels=channels)
    with pytest.raises(ConfigError, match=r"channels=\[3, 2, 1\] with reader='scenes'; expected a reader of"):
        create_reader(DataOptions(reader="scenes", channels=[3, 2, 1]))
