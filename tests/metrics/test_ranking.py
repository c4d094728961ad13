from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from xseg.errors import ConfigError, ShapeError
from xseg.metrics.ranking import BINS, Auc, AveragePrecision, score_histogram
from xseg.metrics.registry import METRICS, create_metrics
from xseg.metrics.scores import add_counts, compute_scores, count_image

TWO = {"classes": 2, "ignore_index": 255}
area_under_curve, average_precision = Auc(**TWO).overall, AveragePrecision(**TWO).overall


def drawn(seed, pixels=3000, skill=1.0, share=0.3):
    """Labels, and scores that are higher for positive pixels."""
    chance = np.random.default_rng(seed)
    positive = chance.random(pixels) < share
    logits = chance.normal(size=pixels) * 2 + skill * (positive - share)
    return positive, (1 / (1 + np.exp(-logits))).astype(np.float32)


def peers(positive, scores):
    pair = torch.from_numpy(scores), torch.from_numpy(positive.astype(np.int64))
    return float(binary_auroc(*pair)), float(binary_average_precision(*pair))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-1, 4), st.floats(0.01, 0.99))
def test_scores_of_rounded_probabilities_equal_torchmetrics(seed, skill, share):
    positive, scores = drawn(seed, skill=skill, share=share)
    histogram = score_histogram(positive, scores)
    expected = peers(positive, np.floor(scores * BINS) / BINS)
    assert (area_under_curve(histogram), average_precision(histogram)) == pytest.approx(expected, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-1, 4))
def test_scores_of_any_probabilities_are_within_an_interval_of_torchmetrics(seed, skill):
    """Rounding moves no threshold by more than an interval, and thus only pixels of the same interval."""
    positive, scores = drawn(seed, skill=skill)
    histogram = score_histogram(positive, scores)
    tied = (histogram[0] * histogram[1]).sum() / histogram.sum(1).prod()
    auc, precision = peers(positive, scores)
    assert abs(area_under_curve(histogram) - auc) <= tied / 2 + 1e-6
    assert average_precision(histogram) == pytest.approx(precision, abs=0.01)


def test_equal_scores_count_half_and_perfect_ones_fully():
    positive = np.array([False, True, True, False])
    for scores, auc, precision in (([0.3] * 4, 0.5, 0.5), ([0, 1, 0.9, 0.2], 1, 1), ([1, 0, 0.1, 0.9], 0, 5 / 12)):
        histogram = score_histogram(positive, np.array(scores))
        assert area_under_curve(histogram) == auc
        assert average_precision(histogram) == pytest.approx(precision)


def test_without_positive_or_negative_pixels_there_is_no_auc():
    scores = np.array([0.2, 0.8])
    none, every = (score_histogram(np.full(2, truth), scores) for truth in (False, True))
    assert (area_under_curve(none), average_precision(none)) == (None, None)
    assert (area_under_curve(every), average_precision(every)) == (None, 1)
    assert area_under_curve(np.zeros((2, BINS))) is None


def test_the_counts_of_images_add_up_and_leave_out_ignored_pixels():
    positive, scores = drawn(1)
    label = positive.astype(np.uint8).reshape(30, 100)
    label[:7, 50:] = 255
    probabilities = np.stack([1 - scores, scores]).reshape(2, 30, 100)
    metrics = create_metrics((), **TWO)
    total = {}
    for part in (slice(0, 7), slice(7, 30)):
        prediction = (probabilities[1, part] > 0.5).astype(np.uint8)
        total = add_counts(
            total, count_image(metrics, label[part], prediction, probabilities=probabilities[:, part], **TWO)
        )
    known = (label != 255).ravel()
    found = compute_scores(metrics, total).overall
    assert (found["auc"], found["average_precision"]) == pytest.approx(peers(positive[known], scores[known]), abs=1e-3)


def test_metrics_for_two_classes_are_left_out_of_others_and_refused_there_by_name():
    special = [name for name, kind in METRICS.items() if kind.two_classes]
    assert special == ["auc", "average_precision"]
    names = {classes: [m.name for m in create_metrics((), classes=classes, ignore_index=255)] for classes in (1, 2, 3)}
    assert names[2] == list(METRICS)
    assert names[1] == names[3] == [name for name in METRICS if name not in special]
    with pytest.raises(ConfigError, match="metric auc with 3 classes; expected two classes"):
        create_metrics(("auc",), classes=3, ignore_index=255)


def test_missing_probabilities_and_other_shapes_are_refused():
    label = np.zeros((2, 3), np.uint8)
    with pytest.raises(ConfigError, match="metric auc without probabilities"):
        count_image(create_metrics((), **TWO), label, label, **TWO)
    with pytest.raises(ShapeError, match="equal shapes"):
        score_histogram(label > 0, np.zeros((3, 2)))
