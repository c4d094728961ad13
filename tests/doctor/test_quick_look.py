from pathlib import Path

import numpy as np
import pytest

from xseg.data.sample import Record, Sample
from xseg.doctor.quick_look import count_class_pixels
from xseg.errors import DataError
from xseg.labels.label_map import LabelMap


class MemoryReader:
    labels, channels = LabelMap(("a", "b", "c")), 3

    def __init__(self, masks):
        self.masks = masks

    def records(self, split):
        if split != "train":
            raise DataError("only a training split")
        return tuple(Record(str(index), Path(f"{index}.png"), None) for index in range(len(self.masks)))

    def read(self, record):
        mask = self.masks[int(record.name)]
        return Sample(record.name, np.zeros((*mask.shape, 3), np.uint8) if mask is not None else None, mask)


def test_pixels_are_counted_image_by_image_without_the_ignored():
    masks = [np.array([[0, 1], [255, 1]], np.uint8), np.array([[2, 255]], np.uint8), np.array([[0]], np.uint16)]
    reader = MemoryReader(masks)
    counts = count_class_pixels(reader, reader.records("train"))
    assert counts.tolist() == [[1, 2, 0], [0, 0, 1], [1, 0, 0]]


def test_a_training_image_without_a_mask_is_an_error():
    reader = MemoryReader([np.zeros((1, 1), np.uint8)])
    reader.read = lambda record: Sample(record.name, np.zeros((1, 1, 3), np.uint8), None)
    with pytest.raises(DataError, match="no mask"):
        count_class_pixels(reader, reader.records("train"))
