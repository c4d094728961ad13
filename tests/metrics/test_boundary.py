from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xseg.errors import ShapeError
from xseg.metrics.boundary import BoundaryIou, band_width, boundary_counts

QUICK = settings(max_examples=40, deadline=None)

IGNORE = 255
WITH_IGNORED = hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 2, IGNORE]))
CLASSES = hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 2))


def count(label, prediction, ratio=0.02):
    return boundary_counts(label, prediction, classes=3, ignore_index=IGNORE, ratio=ratio)


def ious(counts):
    return tuple(BoundaryIou(classes=3, ignore_index=IGNORE).per_class(counts))


def band_by_distance(mask, known, width):
    """A pixel is in the band if a known pixel of another class, or the outside, is at most `width` away."""
    height, columns = mask.shape
    band = set()
    for y, x in zip(*np.nonzero(mask & known), strict=True):
        for v in range(y - width, y + width + 1):
            for u in range(x - width, x + width + 1):
                outside = not (0 <= v < height and 0 <= u < columns)
                if outside or (known[v, u] and not mask[v, u]):
                    band.add((y, x))
    return band


@QUICK
@given(WITH_IGNORED, CLASSES, st.sampled_from([0.02, 0.25]))
def test_counts_equal_measuring_the_distance_of_every_pixel(label, prediction, ratio):
    counts, known, width = count(label, prediction, ratio), label != IGNORE, band_width(6, 7, ratio)
    for index in range(3):
        in_label = band_by_distance(label == index, known, width)
        in_prediction = band_by_distance(prediction == index, known, width)
        assert counts[0, index] == len(in_label & in_prediction)
        assert counts[1, index] == len(in_label | in_prediction)


def mask_to_boundary(mask, ratio=0.02):
    """As in the authors' boundary_iou_api."""
    height, width = mask.shape
    dilation = max(1, round(ratio * np.sqrt(height**2 + width**2)))
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=dilation)
    return mask - eroded[1:-1, 1:-1]


def test_without_ignored_pixels_it_is_the_authors_definition():
    random = np.random.default_rng(0)
    blobs = [cv2.GaussianBlur(random.normal(size=(90, 121)), (0, 0), 9) for _ in range(2)]
    label, prediction = ((blob > 0).astype(np.uint8) for blob in blobs)
    counts = count(label, prediction)
    for index in range(2):
        bands = [mask_to_boundary((mask == index).astype(np.uint8)) > 0 for mask in (label, prediction)]
        assert counts[0, index] == (bands[0] & bands[1]).sum()
        assert counts[1, index] == (bands[0] | bands[1]).sum()


@QUICK
@given(WITH_IGNORED, CLASSES, CLASSES)
def test_what_is_predicted_on_ignored_pixels_changes_nothing(label, prediction, other):
    changed = np.where(label == IGNORE, other, prediction).astype(np.uint8)
    assert (count(label, prediction) == count(label, changed)).all()


@QUICK
@given(WITH_IGNORED)
def test_a_perfect_prediction_scores_one_for_every_labelled_class(label):
    prediction = np.where(label == IGNORE, 0, label).astype(np.uint8)
    expected = tuple(1.0 if (label == index).any() else None for index in range(3))
    # a labelled class has a boundary in so small an image: the image's edge is near
    scores = ious(count(label, prediction, ratio=1))
    assert scores == expected


def test_counts_of_images_add_up():
    first, second = np.zeros((5, 5), np.uint8), np.eye(5, dtype=np.uint8)
    metric = BoundaryIou(classes=3, ignore_index=IGNORE)
    total = metric.count(first, second) + metric.count(second, second)
    assert total.tolist() == (count(first, second) + count(second, second)).tolist()
    assert metric.per_class(total)[2] is None


def test_a_shifted_outline_costs_more_boundary_iou_than_iou():
    label, prediction = np.zeros((200, 200), np.uint8), np.zeros((200, 200), np.uint8)
    label[20:180, 20:180] = 1
    prediction[24:184, 20:180] = 1
    inside = (label == 1) & (prediction == 1)
    iou = inside.sum() / ((label == 1) | (prediction == 1)).sum()
    assert ious(count(label, prediction))[1] < 0.6 < 0.94 < iou


@pytest.mark.parametrize(("height", "width", "expected"), [(360, 480, 12), (1024, 2048, 46), (10, 10, 1), (1, 1, 1)])
def test_the_band_is_two_percent_of_the_diagonal_and_at_least_a_pixel(height, width, expected):
    assert band_width(height, width) == expected


def test_a_prediction_of_another_size_is_refused():
    with pytest.raises(ShapeError):
        count(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
