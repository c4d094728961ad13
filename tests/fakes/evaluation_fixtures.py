"""A data set in memory, and a model whose answers are known: each pixel is of the class of its brightest channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from xseg.data.sample import Record, Sample
from xseg.images.normalization import Normalization
from xseg.inference.options import InferenceOptions
from xseg.inference.predictor import Predictor
from xseg.labels.label_map import LabelMap

LABELS = LabelMap(("road", "<b>sky & sea</b>", "tree"), ((200, 0, 0), (0, 180, 0), (0, 0, 220)))


class MemoryReader:
    """Images whose label is the brightest channel, except for a growing share of wrong and some ignored pixels."""

    labels = LABELS
    channels = 3

    def __init__(self, count=7, height=20, width=30):
        random = np.random.default_rng(0)
        self.samples = {}
        for index in range(count):
            image = random.integers(0, 256, (height, width, 3), np.uint8)
            mask = image.argmax(axis=2).astype(np.uint8)
            wrong = random.random(mask.shape) < index / count
            mask[wrong] = (mask[wrong] + 1) % 3
            mask[random.random(mask.shape) < 0.1] = LABELS.ignore_index
            self.samples[f"street/{index}"] = Sample(f"street/{index}", image, mask)

    def records(self, split):  # noqa: ARG002 - every split is the same
        return tuple(Record(name, Path(f"{name}.png"), Path(f"{name}.png")) for name in self.samples)

    def read(self, record):
        return self.samples[record.name]


@pytest.fixture
def reader():
    return MemoryReader()


@pytest.fixture
def make_reader():
    return MemoryReader


@pytest.fixture
def predictor():
    options = InferenceOptions(batch_size=2, device="cpu")
    return Predictor(nn.Identity(), labels=LABELS, normalization=Normalization(), options=options)


TWO = LabelMap(("background", "vessel"), ((0, 0, 0), (220, 30, 30)))


@pytest.fixture
def two_classes():
    """Reader and predictor of two classes; the probability of the second is known from the two channels."""
    reader = MemoryReader()
    reader.labels, reader.channels = TWO, 2
    for name, sample in reader.samples.items():
        mask = np.where(sample.mask == 2, 0, sample.mask).astype(np.uint8)
        reader.samples[name] = Sample(name, sample.image[..., :2], mask)
    normalization = Normalization((0.5, 0.5), (0.5, 0.5))
    options = InferenceOptions(batch_size=2, device="cpu")
    return reader, Predictor(nn.Identity(), labels=TWO, normalization=normalization, options=options)
