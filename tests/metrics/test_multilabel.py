"""Every registered metric scores overlapping classes one by one, and the mean is over the classes."""

from __future__ import annotations

import numpy as np
import pytest

from xseg.metrics.metric import mean
from xseg.metrics.overlap import Iou
from xseg.metrics.registry import create_metrics
from xseg.metrics.scores import combine_classes, compute_scores, count_image

RNG = np.random.default_rng(0)
LABEL = RNG.integers(0, 2, (12, 14, 3)).astype(np.uint8)
PREDICTION = np.where(RNG.random(LABEL.shape) < 0.2, 1 - LABEL, LABEL)


def scores(label, prediction):
    metrics = create_metrics((), classes=2, ignore_index=255)
    numbers = {"classes": 2, "ignore_index": 255}
    each = []
    for index in range(label.shape[2]):
        truth, found = label[..., index], prediction[..., index]
        probabilities = np.stack([1 - found, found]).astype(np.float32)
        counts = count_image(metrics, truth, found, probabilities=probabilities, **numbers)
        each.append(compute_scores(metrics, counts))
    return metrics, combine_classes(metrics, each)


def test_every_metric_has_the_scores_of_each_class_being_present():
    label = LABEL.copy()
    label[:3, :, 1] = 255
    metrics, found = scores(label, PREDICTION)
    for metric in metrics:
        if metric.has_classes():
            assert len(found.per_class[metric.name]) == 3
        if metric.has_overall():
            assert 0 <= found.overall[metric.overall_key()] <= 1
    known = label != 255
    both = ((label == 1) & (PREDICTION == 1) & known).sum(axis=(0, 1))
    either = (((label == 1) | (PREDICTION == 1)) & known).sum(axis=(0, 1))
    assert found.per_class["iou"] == pytest.approx(both / either)
    assert found.overall["miou"] == pytest.approx((both / either).mean())
    assert found.pixels == tuple(((label == 1) & known).sum(axis=(0, 1)).tolist())
    assert [row["tp"] for row in found.outcomes] == both.tolist()
    assert [sum(row.values()) for row in found.outcomes] == known.sum(axis=(0, 1)).tolist()
    values = found.to_dict(["a", "b", "c"])
    assert values["classes"]["b"]["fp"] == ((label == 0) & (PREDICTION == 1))[..., 1].sum()
    assert values["confusion"] == []


def test_a_class_that_never_occurs_is_part_of_the_mean_only_if_it_is_predicted():
    label, prediction = LABEL.copy(), LABEL.copy()
    label[..., 2] = prediction[..., 2] = 0
    assert scores(label, prediction)[1].per_class["iou"] == (1, 1, None)
    assert scores(label, prediction)[1].overall["miou"] == 1
    prediction[0, 0, 2] = 1
    assert scores(label, prediction)[1].overall["miou"] == mean([1, 1, 0])


def test_a_metric_without_a_mean_is_created():
    class Own(Iou):
        name, overall_name = "own", None

    assert [metric.name for metric in create_metrics([Own], names=["iou"], classes=2, ignore_index=255)][-1] == "own"
