"""What `data` may be, for training, evaluation and the doctor."""

import inspect
from dataclasses import fields

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch.utils.data import Dataset

import xseg
from xseg.api.data import data_values
from xseg.api.parsing import parse_data
from xseg.data.cache import sample_source
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.data.sample import Record, Sample
from xseg.doctor.statistics import normalization_of
from xseg.errors import ConfigError, DataError
from xseg.exporting.options import GraphOptions
from xseg.inference.options import InferenceOptions
from xseg.labels.label_map import LabelMap

CLASSES = ["ground", "roof"]


def pairs(count, channels=3, seed=0, low=0):
    rng = np.random.default_rng(seed)
    images = [rng.integers(low, 256, (10, 12, channels), np.uint8) for _ in range(count)]
    return images, [(image[..., 0] > 127).astype(np.uint8) for image in images]


class Pairs(Dataset):
    def __init__(self, count):
        self.images, self.masks = pairs(count)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return torch.from_numpy(self.images[index]), torch.from_numpy(self.masks[index]).long()


class Reader:
    labels, channels = CLASSES, 2

    def records(self, split):
        return [Record(f"{split}{index}", index, None) for index in range(3)]

    def read(self, record):
        image, mask = (each[0] for each in pairs(1, 2, seed=record.image))
        return Sample(record.name, image, mask)


def opened(data):
    """The options, the samples of a split, and what has to stay alive."""
    values = data_values(data)
    options = parse_data(values)
    reader = create_reader(options)
    return options, reader, values


def test_every_form_gives_the_same_samples(tmp_path):
    images, masks = pairs(4)
    files = ([], [])
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        for kind, array, paths in zip(("image", "mask"), (image, mask), files, strict=True):
            paths.append(tmp_path / kind / f"{index}.png")
            paths[-1].parent.mkdir(exist_ok=True)
            Image.fromarray(array).save(paths[-1])
    stacked = (np.stack(images), np.stack(masks))
    for part in ((images, masks), stacked, Pairs(4), list(zip(images, masks, strict=True)), files):
        options, reader, _ = opened({"train": part, "classes": CLASSES, "crop": [8, 8]})
        assert options.crop == (8, 8)
        assert options.channels == reader.channels == 3
        assert reader.labels.names == tuple(CLASSES)
        records = reader.records("train")
        for record, image, mask in zip(records, images, masks, strict=True):
            sample = reader.read(record)
            np.testing.assert_array_equal(sample.image, image)
            np.testing.assert_array_equal(sample.mask, mask)
        with pytest.raises(DataError, match=r"has no split 'val'; expected one of train"):
            reader.records("val")


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_the_channels_are_those_of_the_first_image(channels):
    for image in ("whole", "flat")[: 1 + (channels == 1)]:
        images, masks = pairs(2, channels)
        images = [each[..., 0] for each in images] if image == "flat" else images
        options, reader, _ = opened({"train": (images, masks), "classes": LabelMap(tuple(CLASSES))})
        assert options.channels == reader.channels == channels
        assert reader.read(reader.records("train")[0]).image.shape == (10, 12, channels)


def test_a_reader_is_data_by_itself_or_among_options():
    own = Reader()
    for data in (own, {"reader": own, "batch_size": 3}):
        options, reader, _ = opened(data)
        assert (options.channels, options.reader) == (2, "python:Reader")
        assert options.batch_size == (8 if data is own else 3)
        assert reader.read(reader.records("val")[1]).image.shape == (10, 12, 2)


def test_a_part_can_be_divided():
    splits = {"splits": {"fractions": [0.5, 0.25, 0.25]}}
    _, reader, _ = opened({"train": pairs(8), "classes": CLASSES, "layout": splits})
    assert [len(reader.records(split)) for split in ("train", "val", "test")] == [4, 2, 2]


@pytest.mark.parametrize("kind", ["arrays", "data set", "files"])
def test_masks_in_black_and_white_are_refused_or_read_as_such(tmp_path, kind):
    images, masks = pairs(2)
    part = (images, [mask * 255 for mask in masks])
    if kind == "data set":
        part = list(zip(*part, strict=True))
    if kind == "files":
        for index, (image, mask) in enumerate(zip(*part, strict=True)):
            Image.fromarray(image).save(tmp_path / f"{index}.png")
            Image.fromarray(mask).save(tmp_path / f"{index}_mask.png")
        part = (
            [tmp_path / f"{index}.png" for index in (0, 1)],
            [str(tmp_path / f"{index}_mask.png") for index in (0, 1)],
        )
    else:
        with pytest.raises(DataError, match="masks of 0 and 255, and 255 means ignored; expected 0 and 1; add"):
            data_values({"train": part, "classes": CLASSES})
    binary = {"labels": {"encoding": "binary"}}
    _, reader, _ = opened({"train": part, "classes": CLASSES, "layout": binary})
    for record, mask in zip(reader.records("train"), masks, strict=True):
        np.testing.assert_array_equal(reader.read(record).mask, mask)


def test_values_of_arrays_are_not_cached_for_others(tmp_path):
    found = []
    for low in (0, 200):
        data = {"train": pairs(2, low=low), "classes": CLASSES, "normalization": "auto", "cache_folder": str(tmp_path)}
        options, reader, _kept = opened(data)
        found.append(normalization_of(reader, options).mean[0])
    assert found[1] > found[0] + 0.2
    options, reader, _kept = opened({**data, "cache": "disk"})
    with pytest.raises(ConfigError, match="cache='disk' with a data set in Python"):
        sample_source(options, reader, reader.records("train"))


def test_options_are_those_of_a_file_or_of_the_data_part_of_one(tmp_path):
    options = {"reader": "scenes", "batch_size": 3, "layout": {"scenes": {"seed": 5}}}
    for name, content in {"own": options, "all": {"data": options, "model": {"encoder": "xception"}}}.items():
        (tmp_path / name).write_text(yaml.safe_dump(content))
    made = parse_data(options)
    assert made == DataOptions(reader="scenes", batch_size=3, layout=made.layout)
    assert made.layout.scenes.seed == 5
    for data in (tmp_path / "own", str(tmp_path / "all"), made):
        assert parse_data(data_values(data)) == made


def test_the_doctor_looks_at_python_data():
    found = xseg.check_data({"train": pairs(3), "val": pairs(3), "classes": CLASSES, "crop": [8, 8]}, quiet=True)
    assert [finding.check for finding in found.findings if finding.severity == "error"] == ["leak"]
    page = found._repr_html_()
    assert "images that are also in another split" in page
    assert page.count("<tr>") == 1 + len(found.findings)
    sound = {split: pairs(3, seed=seed) for seed, split in enumerate(("train", "val", "test"))}
    assert "no faults found" in xseg.check_data({**sound, "classes": CLASSES, "crop": [8, 8]}, quiet=True)._repr_html_()


def test_functions_take_every_option_of_their_verb():
    assert {field.name for field in fields(InferenceOptions)} <= inspect.signature(xseg.evaluate).parameters.keys()
    assert {field.name for field in fields(InferenceOptions)} <= inspect.signature(xseg.load).parameters.keys()
    assert {field.name for field in fields(GraphOptions)} <= inspect.signature(xseg.export).parameters.keys()


def test_overlapping_classes_train_from_arrays(tmp_path):
    def part(count):
        images = pairs(count)[0]
        return images, [(image[..., :2] > 127).astype(np.uint8) for image in images]

    run = xseg.train(
        task="multilabel",
        data={
            "train": part(4),
            "val": part(2),
            "classes": ["a", "b"],
            "crop": [10, 12],
            "batch_size": 2,
            "workers": 0,
            "layout": {"labels": {"overlapping": True}},
        },
        model={"encoder": "xception", "width": 0.125, "decoder_channels": 8, "depth": 3, "output_stride": 8},
        loss=lambda logits, mask: (logits.sigmoid() - (mask == 1).float()).square().mean(),
        output_dir=tmp_path / "run",
        max_epochs=1,
        trainer={"accelerator": "cpu"},
        quiet=True,
    )
    assert run.predictor()(pairs(1)[0][0]).mask.shape == (10, 12, 2)
