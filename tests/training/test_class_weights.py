from pathlib import Path

import numpy as np
import pytest

from xseg.data.sample import Record, Sample
from xseg.errors import DataError
from xseg.labels.label_map import LabelMap
from xseg.training.class_weights import class_weights, count_pixels


def test_the_middle_class_weighs_one_and_rarer_ones_more():
    assert class_weights([400, 100, 25], "inverse") == pytest.approx((0.25, 1.0, 4.0))
    assert class_weights([400, 100, 25], "inverse_sqrt") == pytest.approx((0.5, 1.0, 2.0))


def test_a_class_without_pixels_changes_no_other():
    assert class_weights([400, 0, 100, 25], "inverse") == pytest.approx((0.25, 1.0, 1.0, 4.0))
    assert class_weights([0, 0], "inverse") == (1.0, 1.0)


def test_none_means_no_weights():
    assert class_weights([1, 2], "none") is None


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


@pytest.mark.parametrize("threads", [1, 3])
def test_pixels_are_counted_over_the_training_split_without_the_ignored(threads):
    masks = [np.array([[0, 1], [255, 1]], np.uint8), np.array([[2, 255]], np.uint8), np.array([[0]], np.uint16)]
    assert count_pixels(MemoryReader(masks), threads=threads).tolist() == [2, 2, 1]


def test_a_training_image_without_a_mask_is_told():
    reader = MemoryReader([np.zeros((1, 1), np.uint8)])
    reader.read = lambda record: Sample(record.name, np.zeros((1, 1, 3), np.uint8), None)
    with pytest.raises(DataError, match="no mask"):
        count_pixels(reader, threads=1)
