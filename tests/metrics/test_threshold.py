"""Thresholds chosen from histograms: monotone, with ties, without positives, and never NaN."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xseg.metrics.ranking import BINS, BestThreshold, choose_threshold, score_histogram

pairs = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.99, 1.0])), max_size=30)
wanted = st.one_of(st.none(), st.floats(0.01, 1))


def at(positive, scores, threshold):
    """Precision, recall and F1 of the predictions at a threshold, undefined ones as 0."""
    predicted = scores >= threshold
    right = np.count_nonzero(positive & predicted)
    precision, recall = right / max(1, predicted.sum()), right / max(1, positive.sum())
    return precision, recall, 2 * right / max(1, predicted.sum() + positive.sum())


def arrays(drawn):
    return np.array([pair[0] for pair in drawn], bool), np.array([pair[1] for pair in drawn], np.float32)


@settings(deadline=None)
@given(pairs, wanted)
def test_no_threshold_is_better(drawn, precision):
    positive, scores = arrays(drawn)
    chosen = choose_threshold(score_histogram(positive, scores), precision)
    assert 0 <= chosen < 1, "never NaN"
    starts = {min(int(score * BINS), BINS - 1) / BINS for score in scores}
    every = [at(positive, scores, threshold) for threshold in (0.0, *starts, *(start + 1 / BINS for start in starts))]
    found = at(positive, scores, chosen)
    if precision is None:
        assert found[2] == pytest.approx(max(f1 for _, _, f1 in every))
    elif any(reached := [recall for each, recall, _ in every if each >= precision and recall]):
        assert found[0] >= precision
        assert found[1] == max(reached)
    elif positive.any():
        assert found[0] == max(each for each, _, _ in every)


@settings(deadline=None)
@given(pairs, st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_higher_wanted_precision_never_has_a_higher_recall(drawn, one, other):
    positive, scores = arrays(drawn)
    histogram = score_histogram(positive, scores)
    low, high = (at(positive, scores, choose_threshold(histogram, each)) for each in sorted((one, other)))
    if high[0] >= max(one, other):
        assert low[1] >= high[1]


@settings(deadline=None)
@given(pairs)
def test_recall_falls_with_the_threshold(drawn):
    positive, scores = arrays(drawn)
    recalls = [at(positive, scores, threshold)[1] for threshold in np.arange(0, 1, 1 / BINS * 64)]
    assert recalls == sorted(recalls, reverse=True)


@pytest.mark.parametrize("precision", [None, 0.9])
def test_of_equally_good_ones_it_is_the_one_closest_to_a_half(precision):
    positive, scores = np.array([False, False, True]), np.array([0.1, 0.2, 0.9])
    assert choose_threshold(score_histogram(positive, scores), precision) == 0.5
    low = choose_threshold(score_histogram(positive, scores / 4), precision)
    assert 0.225 - 1 / BINS < low <= 0.225, "the highest below the lowest score of the class"
    high = choose_threshold(score_histogram(positive, 1 - (1 - scores) / 4), precision)
    assert 0.8 <= high <= 0.8 + 1 / BINS, "the lowest above the highest score without the class"


@pytest.mark.parametrize("precision", [None, 0.9])
def test_without_the_class_it_is_a_half(precision):
    nothing = np.zeros((2, BINS), np.int64)
    assert choose_threshold(nothing, precision) == 0.5
    nothing[0, 7] = 3
    assert choose_threshold(nothing, precision) == 0.5


def test_the_metric_ignores_pixels_and_has_a_threshold_of_the_second_class():
    label = np.array([[0, 1, 255, 255]], np.uint8)
    found = np.array([0.2, 0.3, 0.9, 0.05], np.float32)[None]
    metric = BestThreshold(ignore_index=255)
    none, threshold = metric.per_class(metric.count(label, np.stack([1 - found, found])))
    assert none is None
    assert 0.2 < threshold <= 0.3
