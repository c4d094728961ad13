from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchmetrics.classification import MulticlassConfusionMatrix

from xseg.errors import DataError, ShapeError
from xseg.metrics.metric import confusion_matrix

QUICK = settings(max_examples=40, deadline=None)

CLASSES, IGNORE = 4, 255
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)


@st.composite
def pairs(draw):
    shape = draw(SHAPES)
    label = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, IGNORE])))
    prediction = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, CLASSES - 1)))
    return label, prediction


def counted_one_by_one(label, prediction):
    counts = np.zeros((CLASSES, CLASSES), int)
    for row, column in np.ndindex(label.shape):
        if label[row, column] != IGNORE:
            counts[label[row, column], prediction[row, column]] += 1
    return counts


@QUICK
@given(pairs())
def test_counts_equal_counting_pixel_by_pixel(pair):
    counts = confusion_matrix(*pair, classes=CLASSES, ignore_index=IGNORE)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, counted_one_by_one(*pair))


@QUICK
@given(pairs())
def test_counts_equal_torchmetrics(pair):
    label, prediction = (torch.from_numpy(array.astype(np.int64)) for array in pair)
    peer = MulticlassConfusionMatrix(CLASSES, ignore_index=IGNORE)(prediction, label).numpy()
    np.testing.assert_array_equal(confusion_matrix(*pair, classes=CLASSES, ignore_index=IGNORE), peer)


@QUICK
@given(pairs(), st.randoms(use_true_random=False))
def test_what_is_predicted_on_ignored_pixels_changes_nothing(pair, random):
    label, prediction = pair
    other = prediction.copy()
    other[label == IGNORE] = [random.randrange(256) for _ in range(int((label == IGNORE).sum()))]
    before = confusion_matrix(label, prediction, classes=CLASSES, ignore_index=IGNORE)
    np.testing.assert_array_equal(confusion_matrix(label, other, classes=CLASSES, ignore_index=IGNORE), before)


def test_more_classes_than_a_byte_holds_do_not_overflow():
    label = np.full((2, 2), 299, np.uint16)
    counts = confusion_matrix(label, label - 1, classes=300, ignore_index=65535)
    assert counts[299, 298] == 4
    assert counts.sum() == 4


@pytest.mark.parametrize("value", [4, 254])
@pytest.mark.parametrize("place", ["label", "prediction"])
def test_a_value_that_is_no_class_is_refused(place, value):
    arrays = {"label": np.zeros((2, 2), np.uint8), "prediction": np.zeros((2, 2), np.uint8)}
    arrays[place][0, 0] = value
    with pytest.raises(DataError, match=rf"{place} with values from 0 to {value}; expected 0 to 3"):
        confusion_matrix(arrays["label"], arrays["prediction"], classes=CLASSES, ignore_index=IGNORE)


def test_a_prediction_of_another_size_is_refused():
    with pytest.raises(ShapeError, match=r"\(2, 3\).*\(3, 2\)"):
        confusion_matrix(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), classes=2, ignore_index=255)
