"""Readers and data sets that live in a user's file, and nowhere in the package."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
import yaml

from xseg.cli import main
from xseg.data.loading.datamodule import SegmentationData
from xseg.data.options import DataOptions
from xseg.data.readers.dataset import DatasetReader
from xseg.data.readers.own import as_reader
from xseg.data.readers.registry import create_reader
from xseg.data.sample import Record, Sample
from xseg.doctor.parallel import parallel_map
from xseg.errors import ConfigError, DataError
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap

OWN = """
from pathlib import Path

import numpy as np
import torch

from xseg.data.sample import Record, Sample
from xseg.labels.label_map import LabelMap

CLASSES = ["dark", "bright"]


def draw(split, index, size):
    random = np.random.default_rng([len(split), index])
    mask = np.zeros((size, size + 8), np.uint8)
    mask[:, random.integers(4, size) :] = 1
    mask[:2] = 255
    image = np.where(mask[..., None] == 1, 200, 40).astype(np.uint8) + random.integers(0, 9, (*mask.shape, 3), np.uint8)
    return image, mask


class Reader:
    labels, channels = LabelMap(("dark", "bright")), 3

    def __init__(self, root, size=32, count=6):
        self.root, self.size, self.count = root, size, count

    def records(self, split):
        folder = Path(self.root, split)
        return [Record(f"{split}{i}", folder / str(i), folder / str(i)) for i in range(self.count)]

    def read(self, record):
        split = record.image.parent.name
        return Sample(record.name, *draw(split, int(record.image.name), self.size))


class Pairs(torch.utils.data.Dataset):
    classes = CLASSES

    def __init__(self, split, size=32, count=6):
        self.split, self.size, self.count = split, size, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        image, mask = draw(self.split, index, self.size)
        return image, torch.from_numpy(mask).long()


def pairs(split, *, root, **options):
    return Pairs(split, **options)
"""
TRAINING = {
    "model": {"encoder": "xception", "width": 0.125, "depth": 3, "decoder_channels": 16},
    "data": {"root": "somewhere", "crop": [33, 33], "batch_size": 2, "workers": 0, "layout": {"options": {"size": 40}}},
    "trainer": {"max_epochs": 1, "accelerator": "cpu", "logger": False, "enable_progress_bar": False},
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with the user's file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XSEG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def configuration(here, reader, **options):
    values = json.loads(json.dumps(TRAINING))
    values["data"]["reader"] = reader
    values["data"]["layout"]["options"] |= options
    (here / "config.yaml").write_text(yaml.safe_dump(values))
    return ["--config", "config.yaml"]


@pytest.mark.parametrize("reader", ["own.py:Reader", "own.py:Pairs", "own.py:pairs"])
def test_the_doctor_examines_it(here, capsys, reader):
    assert main(["data", "check", *configuration(here, reader), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert (checked["classes"], checked["splits"]["train"]) == (["dark", "bright"], 6)


@pytest.mark.parametrize("reader", ["own.py:Reader", "own.py:Pairs"])
def test_it_is_counted_shown_trained_on_and_evaluated_through_the_command_line(here, capsys, reader):
    config = configuration(here, reader)
    assert main(["data", "stats", *config, "--data.layout.options.count", "3", "--json"]) == 0
    counted = json.loads(capsys.readouterr().out)
    assert counted["train"]["images"] == 3
    assert main(["data", "preview", *config, "--output_dir", "preview", "--count", "2"]) == 0
    assert (here / "preview" / "sheet_train.png").is_file()
    assert main(["train", *config, "--output_dir", "run"]) == 0
    assert (here / "run" / "best" / "config.json").is_file()
    capsys.readouterr()
    assert main(["evaluate", "run", "--split", "test", "--output_dir", "scores"]) == 0


def test_its_options_come_from_yaml_and_a_mistyped_one_is_answered_with_the_nearest(here, capsys):
    reader = create_reader(DataOptions(reader="own.py:Reader", root="x", layout=_layout(size=48)))
    assert reader.read(reader.records("train")[0]).image.shape == (48, 56, 3)
    assert main(["data", "check", *configuration(here, "own.py:Reader", sise=3)]) == 2
    error = capsys.readouterr().err
    assert "has no option 'sise'; expected one of size, count; did you mean size?" in error
    assert main(["data", "check", *configuration(here, "own.py:Raeder")]) == 2
    assert "has no 'Raeder'" in capsys.readouterr().err
    assert main(["data", "check", "--data.reader", "own.py:Reader"]) == 2
    assert "needs root; set data.root" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"reader='scenez'; expected one of ade20k, .*; did you mean scenes?"):
        DataOptions(reader="scenez")
    with pytest.raises(ConfigError, match="they are for a reader of your own"):
        DataOptions(reader="scenes", layout=_layout(size=3))


def _layout(**options):
    from xseg.data.layout import LayoutOptions

    return LayoutOptions(options=options)


@pytest.mark.parametrize("reader", ["own.py:Reader", "own.py:Pairs"])
def test_other_processes_make_it_anew(here, monkeypatch, reader):
    root = "x" if reader.endswith("Reader") else ""
    made = create_reader(DataOptions(reader=reader, root=root, layout=_layout(count=70)))
    records = made.records("train")
    content = pickle.dumps(made)
    monkeypatch.chdir("/")
    copied = pickle.loads(content)
    np.testing.assert_array_equal(copied.read(records[3]).mask, made.read(records[3]).mask)
    if reader.endswith("Pairs"):
        return
    sizes = list(parallel_map(made.inspect, records, workers=1))
    assert {size.size for size in sizes} == {(32, 40)}


def test_a_changed_file_is_another_identity_for_the_cache(here):
    import sys

    from xseg.data.cache import reader_identity

    options = DataOptions(reader="own.py:Pairs")
    before = reader_identity(options, create_reader(options))
    assert before == reader_identity(options, create_reader(options))
    (here / "own.py").write_text(OWN.replace("200, 40", "100, 40"))
    for name in [name for name in sys.modules if name.startswith("xseg_user_own_")]:
        del sys.modules[name]
    assert reader_identity(options, create_reader(options)) != before


def test_a_dataset_may_be_divided_and_its_splits_may_have_other_names(here):
    from xseg.data.layout import LabelOptions, LayoutOptions, SplitOptions

    split = SplitOptions(fractions=(0.5, 0.25, 0.25))
    options = DataOptions(reader="own.py:Pairs", layout=LayoutOptions(splits=split, options={"count": 40}))
    reader = create_reader(options)
    parts = [{record.name for record in reader.records(name)} for name in ("train", "val", "test")]
    assert [len(part) for part in parts] == [20, 10, 10]
    assert not parts[0] & parts[1]
    layout = LayoutOptions(splits=SplitOptions(val="test"), labels=LabelOptions(classes=("a", "b")))
    reader = create_reader(DataOptions(reader="own.py:Pairs", layout=layout))
    assert reader.labels.names == ("a", "b")
    assert reader.records("val")[0].image.parts[0] == "test"


class Squares(torch.utils.data.Dataset):
    """Pairs of one size; `change` makes a mistake in them."""

    def __init__(self, change=None):
        self.change = change

    def __len__(self):
        return 4

    def __getitem__(self, index):
        pair = {"image": np.full((34, 34, 3), 40 * index, np.uint8), "mask": np.eye(34, dtype=np.uint8)}
        if self.change:
            self.change(pair)
        return pair["image"], pair["mask"]


def test_objects_serve_in_python_too():
    reader = DatasetReader({"train": Squares(), "val": Squares()}, ["off", "on"])
    options = DataOptions(crop=(33, 33), batch_size=2, workers=2)
    data = SegmentationData(options, Normalization(), reader=reader)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (2, 3, 33, 33)
    assert data.labels.names == ("off", "on")
    with pytest.raises(DataError, match="dataset has no split 'test'; expected one of train, val"):
        reader.records("test")


MISTAKES = {
    "float64 image": (lambda pair: pair.update(image=pair["image"] / 255), "float64 values; expected uint8"),
    "channels first": (lambda pair: pair.update(image=pair["image"].transpose(2, 0, 1)), r"\(3, 34, 34\).*last"),
    "grey": (lambda pair: pair.update(image=pair["image"][..., 0]), r"shape \(34, 34\); expected \(height, width, 3\)"),
    "other size": (lambda pair: pair.update(mask=pair["mask"][:30]), "is 30x34 and its image 34x34; expected the same"),
    "float mask": (lambda pair: pair.update(mask=pair["mask"] * 1.0), "float64 values; expected"),
    "one-hot mask": (lambda pair: pair.update(mask=np.zeros((2, 34, 34), np.uint8)), r"has shape \(2, 34, 34\)"),
    "class out of range": (lambda pair: pair.update(mask=pair["mask"] * 7), "value 7 in 34 pixels; expected 0 to 1 or"),
    "negative class": (lambda pair: pair.update(mask=pair["mask"].astype(int) - 1), "has values from -1 to 0"),
    "error": (lambda pair: pair.pop("image") / 0, "raised"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["dataset", "reader"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_sample_is_one_line_that_names_it(kind, mistake):
    change, message = MISTAKES[mistake]
    if mistake == "error":

        def change(_):
            raise KeyError("lost")

        message = "raised KeyError: 'lost'"
    dataset = Squares(change)

    class Own:
        labels = ("off", "on")

        def records(self, split):  # noqa: ARG002
            return [Record("a", dataset, None)]

        def read(self, record):
            return Sample(record.name, *record.image[0])

    made = DatasetReader({"train": dataset}, ["off", "on"]) if kind == "dataset" else as_reader(Own(), channels=3)
    (record, *_) = made.records("train")
    for work in (made.read, made.inspect):
        with pytest.raises(DataError, match=message) as caught:
            work(record)
        assert "\n" not in str(caught.value)
        assert ("item 0 of dataset, split train" if kind == "dataset" else "a of reader") in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("value = 3", "is int; expected a class with labels, records and read, or a function"),
        ("class value:\n    records = read = print", "has no labels; expected labels, records and read"),
        (
            "class value:\n    records = read = print\n    labels = 3",
            "has int as classes; expected a LabelMap or a list",
        ),
        (
            "class value:\n    def __init__(self): 1 / 0\n    records = read = labels = print",
            "raised ZeroDivisionError",
        ),
        ("class value:\n    records = read = print\n    labels = ['a']\n    channels = 4", "set data.channels to 4"),
        ("def value(split): return 3\nvalue.classes = ['a']", "split train, is int; expected a data set with a length"),
        ("def value(split): return []", "has no classes; expected class names; set layout.labels.classes"),
        ("def value(split): 1 / 0", "split train raised ZeroDivisionError"),
        ("def value(split): return [3]\nvalue.classes = ['a']", "is int; expected an image and a mask"),
        ("def value(split): return [(3,)]\nvalue.classes = ['a']", "is 1 values; expected an image and a mask"),
    ],
)
def test_a_mistake_in_its_form_is_one_line(here, content, message):
    (here / "own.py").write_text(content)

    def read_first():
        made = create_reader(DataOptions(reader="own.py:value"))
        return made.read(made.records("train")[0])

    with pytest.raises((ConfigError, DataError), match=message) as caught:
        read_first()
    assert "\n" not in str(caught.value)
    assert str(here / "own.py:value") in str(caught.value)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((8, 9), np.uint8), r"has shape \(8, 9\); expected \(height, width, 2\), one band per class"),
        (np.zeros((2, 8, 9), np.uint8), r"has shape \(2, 8, 9\); expected \(height, width, 2\)"),
        (np.full((8, 9, 2), 2, np.uint8), r"values \[2\]; expected \(height, width, 2\) of 0, 1 and 255 \(ignored\)"),
        (np.zeros((8, 8, 2), np.uint8), "is 8x8 and its image 8x9"),
        (np.zeros((8, 9, 2)), "float64 values; expected integers"),
    ],
)
def test_a_mistake_in_a_mask_of_overlapping_classes_is_one_line(mask, message):
    pairs = [(np.zeros((8, 9, 3), np.uint8), mask)]
    reader = DatasetReader({"train": pairs}, LabelMap(("a", "b"), overlapping=True))
    record = reader.records("train")[0]
    for look in (reader.read, reader.inspect):
        with pytest.raises(DataError, match=message):
            look(record)

    class Own:
        labels = LabelMap(("a", "b"), overlapping=True)
        channels = 3

        def records(self, split):  # noqa: ARG002 - the interface of readers
            return [record]

        def read(self, record):
            return Sample(record.name, *pairs[0])

    with pytest.raises(DataError, match=message):
        as_reader(Own(), channels=3).read(record)


def test_records_are_sorted_and_their_names_are_unique():
    from pathlib import Path

    found = [Record("b", Path("b"), None), Record("a", Path("a"), None)]

    class Own:
        labels = LabelMap(("a",))

        def records(self, split):  # noqa: ARG002
            return found

        def read(self, record):  # noqa: ARG002
            return Sample("other", np.zeros((3, 4), np.uint8), None)

    reader = as_reader(Own(), channels=1)
    assert [record.name for record in reader.records("train")] == ["a", "b"]
    sample = reader.read(found[0])
    assert (sample.name, sample.image.shape, sample.mask) == ("b", (3, 4, 1), None)
    found.append(found[0])
    with pytest.raises(DataError, match="have the same name"):
        reader.records("train")
    found[:] = ["a.png"]
    with pytest.raises(DataError, match=r"records\('train'\) holds str; expected Record"):
        reader.records("train")
