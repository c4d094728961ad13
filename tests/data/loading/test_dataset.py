"""A sample is a function of epoch and index; batches hold one size; errors are values until the loader raises them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from xseg.data.loading.augmentation import training_transform
from xseg.data.loading.dataset import SegmentationDataset, collate
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.data.sample import Sample
from xseg.errors import DataError
from xseg.images.normalization import Normalization


@pytest.fixture
def dataset(scenes_root):
    options = DataOptions(reader="folder", root=str(scenes_root), crop=(24, 32))
    reader = create_reader(options)
    transform = training_transform(options, Normalization(), 255)
    records = reader.records("train")
    return SegmentationDataset(reader, records, normalization=Normalization(), transform=transform, seed=4)


def test_a_repetition_is_the_same_record_changed_otherwise(dataset):
    size = len(dataset)
    first, again, repeated = dataset.item(2, 1), dataset.item(2, 1), dataset.item(2, 1 + size)
    assert first["name"] == again["name"] == repeated["name"] == dataset.records[1].name
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], repeated["image"])


def test_an_unlabelled_record_is_an_error_that_travels_as_a_value(dataset):
    class Unlabelled:
        def read(self, record):
            return Sample(record.name, np.zeros((4, 4, 3), np.uint8), None)

    dataset.source = Unlabelled()
    error = dataset[0, 1]
    assert isinstance(error, DataError)
    assert str(error) == f"{dataset.records[1].image} has no mask; expected a labelled image"
    assert collate([error]) is error


def test_sizes_do_not_mix_in_a_batch():
    items = [
        {"image": torch.zeros(3, *size), "mask": torch.zeros(size, dtype=torch.int64), "name": "x"}
        for size in ((4, 5), (4, 6))
    ]
    assert "in one batch" in str(collate(items))


LEFT_OPEN = """
import sys
from xseg.data.loading.datamodule import SegmentationData
from xseg.data.options import DataOptions
from xseg.images.normalization import Normalization
options = DataOptions(reader="folder", root=sys.argv[1], crop=(33, 33), batch_size=2, workers=1)
batches = iter(SegmentationData(options, Normalization()).train_dataloader())
next(batches)
"""


def test_a_program_ends_although_a_loader_is_still_open(scenes_root):
    """Workers ignore SIGTERM, with which Python ends what is still there before it waits for it."""
    done = subprocess.run([sys.executable, "-c", LEFT_OPEN, scenes_root], timeout=30, check=False)
    assert done.returncode == 0
