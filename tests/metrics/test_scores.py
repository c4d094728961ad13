from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassJaccardIndex,
    MulticlassPrecision,
    MulticlassSpecificity,
)

from xseg.errors import ShapeError
from xseg.metrics.metric import confusion_matrix
from xseg.metrics.registry import create_metrics
from xseg.metrics.scores import compute_scores

QUICK = settings(max_examples=40, deadline=None)

K = 4
MASKS = hnp.arrays(np.uint8, (3, 5), elements=st.integers(0, K - 1))


def scores_from_confusion(matrix):
    return compute_scores(create_metrics((), classes=len(matrix), ignore_index=255), {"confusion": matrix})


def of_class(scores, index):
    return SimpleNamespace(**{name: values[index] for name, values in scores.per_class.items()})


def scores_of(label, prediction, ignore_index=255):
    return scores_from_confusion(confusion_matrix(label, prediction, classes=K, ignore_index=ignore_index))


@QUICK
@given(MASKS, MASKS)
def test_class_scores_equal_counting_sets_of_pixels(label, prediction):
    scores = scores_of(label, prediction)
    for index in range(K):
        entry = of_class(scores, index)
        labelled = {place for place in np.ndindex(label.shape) if label[place] == index}
        predicted = {place for place in np.ndindex(label.shape) if prediction[place] == index}
        right, either = len(labelled & predicted), len(labelled | predicted)
        assert scores.pixels[index] == len(labelled)
        assert entry.iou == (right / either if either else None)
        assert entry.recall == (right / len(labelled) if labelled else None)
        others = set(np.ndindex(label.shape)) - labelled
        assert entry.specificity == (len(others - predicted) / len(others) if others and either else None)
        assert entry.precision == (right / len(predicted) if predicted else None)
        assert entry.f1 == entry.dice == (2 * right / (len(labelled) + len(predicted)) if either else None)


@QUICK
@given(MASKS, MASKS)
def test_means_equal_their_definitions(label, prediction):
    scores = scores_of(label, prediction)
    ious = [iou for iou in scores.per_class["iou"] if iou is not None]
    recalls = [value for value in scores.per_class["recall"] if value is not None]
    assert math.isclose(scores.overall["miou"], sum(ious) / len(ious))
    assert math.isclose(scores.overall["mean_accuracy"], sum(recalls) / len(recalls))
    dices = [value for value in scores.per_class["dice"] if value is not None]
    assert math.isclose(scores.overall["mean_dice"], sum(dices) / len(dices))
    assert math.isclose(scores.overall["pixel_accuracy"], (label == prediction).mean())
    weighted = sum((scores.per_class["iou"][value] or 0) for value in label.ravel().tolist()) / label.size
    assert math.isclose(scores.overall["fwiou"], weighted, abs_tol=1e-12)


@QUICK
@given(MASKS, MASKS)
def test_scores_of_classes_that_are_present_equal_torchmetrics(label, prediction):
    target, guess = (torch.from_numpy(array.astype(np.int64)) for array in (label, prediction))
    peers = {
        "iou": MulticlassJaccardIndex(K, average=None),
        "recall": MulticlassAccuracy(K, average=None),
        "precision": MulticlassPrecision(K, average=None),
        "dice": MulticlassF1Score(K, average=None),
        "specificity": MulticlassSpecificity(K, average=None),
    }
    scores = scores_of(label, prediction)
    for name, peer in peers.items():
        for ours, value in zip(scores.per_class[name], peer(guess, target).tolist(), strict=True):
            if ours is not None:
                assert ours == pytest.approx(value, abs=1e-6)


@QUICK
@given(MASKS, MASKS, hnp.arrays(np.bool_, (3, 5)), MASKS)
def test_ignored_pixels_change_no_score(label, prediction, ignored, other):
    label = np.where(ignored, 255, label).astype(np.uint8)
    changed = np.where(ignored, other, prediction).astype(np.uint8)
    assert scores_of(label, prediction) == scores_of(label, changed)


@QUICK
@given(MASKS, MASKS, st.permutations(range(K)))
def test_renumbering_the_classes_renumbers_the_scores_and_keeps_the_means(label, prediction, order):
    before = scores_of(label, prediction)
    renumbered = np.asarray(order, np.uint8)
    after = scores_of(renumbered[label], renumbered[prediction])
    assert [of_class(after, order[index]) for index in range(K)] == [of_class(before, index) for index in range(K)]
    assert after.overall["miou"] == pytest.approx(before.overall["miou"])


def test_a_class_that_is_neither_labelled_nor_predicted_is_left_out_of_the_means():
    scores = scores_from_confusion(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    absent = of_class(scores, 2)
    assert (absent.iou, absent.precision, absent.recall, absent.specificity, absent.dice) == (None,) * 5
    assert scores.overall["miou"] == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert scores.overall["mean_accuracy"] == pytest.approx((3 / 4 + 1) / 2)


def test_a_class_that_is_predicted_but_never_labelled_costs_iou_and_has_no_recall():
    scores = scores_from_confusion(np.array([[3, 1], [0, 0]]))
    wrong = of_class(scores, 1)
    assert (wrong.iou, wrong.f1, wrong.precision) == (0, 0, 0)
    assert wrong.recall is None
    assert wrong.specificity == 3 / 4
    assert scores.overall["miou"] == pytest.approx(3 / 4 / 2)
    assert scores.overall["mean_accuracy"] == pytest.approx(3 / 4)


def test_a_class_that_is_labelled_but_never_predicted_has_no_precision():
    missed = of_class(scores_from_confusion(np.array([[4, 0], [2, 0]])), 1)
    assert (missed.iou, missed.recall, missed.f1, missed.precision) == (0, 0, 0, None)


def test_nothing_labelled_gives_no_score_at_all():
    scores = scores_from_confusion(np.zeros((3, 3), np.int64))
    assert set(scores.overall.values()) == {None}


def test_counts_beyond_what_a_float_holds_stay_exact():
    huge = 2**53 + 1
    scores = scores_from_confusion(np.array([[huge, 0], [0, huge]]))
    assert scores.pixels[0] == huge
    assert scores.overall["miou"] == 1


def test_boundary_ious_are_averaged_over_the_classes_that_have_a_boundary():
    metrics = create_metrics((), classes=3, ignore_index=255)
    counts = {"confusion": np.eye(3, dtype=np.int64), "boundary_iou": np.array([[1, 0, 7], [2, 0, 10]])}
    scores = compute_scores(metrics, counts)
    assert scores.overall["boundary_iou"] == pytest.approx(0.6)
    assert scores.per_class["boundary_iou"] == (0.5, None, 0.7)


COUNTED = {"iou", "recall", "precision", "specificity", "dice", "f1", "boundary_iou", "pixels"}
OVERALL = {"miou", "mean_accuracy", "mean_dice", "pixel_accuracy", "fwiou", "boundary_iou", "classes", "confusion"}


def test_the_dictionary_has_the_documented_keys_and_is_json():
    values = scores_from_confusion(np.array([[3, 1, 0], [0, 0, 0], [0, 0, 0]])).to_dict(["road", "sky", "tree"])
    assert set(values) == OVERALL
    assert [set(entry) for entry in values["classes"].values()] == [COUNTED] * 3
    assert json.loads(json.dumps(values)) == values
    assert values["confusion"] == [[3, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_two_classes_have_auc_average_precision_and_the_four_outcomes():
    values = scores_from_confusion(np.array([[50, 3], [4, 20]])).to_dict(["background", "vessel"])
    assert set(values) == OVERALL | {"auc", "average_precision"}
    assert [set(entry) for entry in values["classes"].values()] == [COUNTED | {"tp", "fp", "fn", "tn"}] * 2
    four = {name: values["classes"]["vessel"][name] for name in ("tp", "fp", "fn", "tn")}
    assert four == {"tp": 20, "fp": 3, "fn": 4, "tn": 50}
    other = values["classes"]["background"]
    assert (other["tp"], other["fp"], other["fn"], other["tn"]) == (50, 4, 3, 20)
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize("matrix", [np.zeros((2, 3), int), np.zeros(4, int), np.array([[1, -1], [0, 0]])])
def test_what_is_no_confusion_matrix_is_refused(matrix):
    with pytest.raises(ShapeError, match="confusion matrix"):
        scores_from_confusion(matrix)
