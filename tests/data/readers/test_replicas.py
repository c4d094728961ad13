"""Every reader reads a copy of its data set's real layout, and every mask becomes the train ids that it stands for."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from replicas import REPLICAS, truth

from xseg.data.layout import READER_NAMES
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.data.sample import InspectableReader
from xseg.doctor.quick_look import check_split


@pytest.fixture(scope="module", params=REPLICAS)
def replica(request, tmp_path_factory):
    """A layout's reader, and its folder."""
    root = tmp_path_factory.mktemp("data") / request.param.replace("/", "_")
    return create_reader(DataOptions(**REPLICAS[request.param](root))), root


def test_a_reader_keeps_the_contract(replica):
    reader, _ = replica
    assert isinstance(reader, InspectableReader)
    for split in ("train", "val"):
        records = reader.records(split)
        names = [record.name for record in records]
        assert len(names) >= 2
        assert names == sorted(set(names))
        for record in records:
            sample = reader.read(record)
            assert sample.name == record.name
            assert sample.image.dtype == np.uint8
            assert sample.image.shape == (*sample.mask.shape, reader.channels)
            assert sample.mask.dtype == np.uint8
            assert set(np.unique(sample.mask)) <= {*range(len(reader.labels)), reader.labels.ignore_index}


def test_every_mask_becomes_what_it_stands_for(replica, request):
    reader, root = replica
    if request.node.callspec.params["replica"] in ("scenes", "folder"):
        pytest.skip("compared with each other in test_folder.py")
    compared = 0
    for split in ("train", "val"):
        for record in reader.records(split):
            for part in (split, "all", "valid"):
                try:
                    expected = truth(root, part, record.name)
                except FileNotFoundError:
                    continue
                assert np.array_equal(reader.read(record).mask, expected), record.name
                compared += 1
                break
    assert compared == len(reader.records("train")) + len(reader.records("val"))


def test_looking_counts_what_reading_gives(replica):
    reader, _ = replica
    train_ids = reader.labels.train_ids()
    for record in reader.records("val"):
        found, mask = reader.inspect(record), reader.read(record).mask
        assert found.size == mask.shape
        counts = np.zeros(256, int)
        for value, pixels in found.values.items():
            counts[train_ids[value]] += pixels
        if found.values:
            assert np.array_equal(counts, np.bincount(mask.ravel(), minlength=256))


def test_the_check_before_training_finds_nothing_wrong(replica):
    reader, _ = replica
    for split in ("train", "val"):
        assert check_split(reader, split).images == len(reader.records(split))


def test_a_reader_travels_to_worker_processes(replica):
    reader, _ = replica
    (record, *_) = reader.records("val")
    copy = pickle.loads(pickle.dumps(reader))
    assert copy.records("val") == reader.records("val")
    assert np.array_equal(copy.read(record).mask, reader.read(record).mask)


def test_listing_decodes_no_pixel(replica, monkeypatch):
    reader, _ = replica

    def refuse(*_, **__):
        raise AssertionError("a pixel was decoded")

    for module in (
        "xseg.data.pairs.read_image",
        "xseg.data.masks.numbers.read_mask",
        "xseg.data.masks.colors.read_colors",
    ):
        monkeypatch.setattr(module, refuse)
    assert reader.records("train")


def test_every_reader_has_a_replica():
    assert {name.partition("/")[0] for name in REPLICAS} == set(READER_NAMES)
