"""A run normalises its images as the encoder's first weights want it, unless the data are measured."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.training.options.task import TaskOptions
from xseg.training.run.segmentation import SegmentationRun

IMAGENET = (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("encoder", "weights", "mean"),
    [
        ("xception65", "imagenet", (0.5, 0.5, 0.5)),
        ("tu-resnet18", None, (0.5, 0.5, 0.5)),
        ("tu-resnet18", "imagenet", IMAGENET),
    ],
)
def test_images_are_normalised_for_the_encoders_weights(encoder, weights, mean):
    assert measured("fixed", encoder, weights).mean == mean


def test_measured_numbers_of_the_data_go_before_those_of_the_weights():
    auto = measured("auto", "tu-resnet18", "imagenet")
    assert auto == measured("auto", "xception65", None)
    assert auto.mean not in (IMAGENET, (0.5, 0.5, 0.5))


def measured(normalization, encoder, weights):
    data = DataOptions(reader="scenes", normalization=normalization)
    request = SimpleNamespace(data=data, model=TaskOptions(encoder=encoder, encoder_weights=weights))
    reader = create_reader(data)
    few = SimpleNamespace(
        channels=reader.channels,
        labels=reader.labels,
        read=reader.read,
        records=lambda split: reader.records(split)[:2],
    )
    return SegmentationRun.measure_normalization(SimpleNamespace(request=request, reader=few))
