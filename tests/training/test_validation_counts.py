"""A validation's counts are those of its images, however they are batched and shared between processes."""

import numpy as np
import pytest
import torch
from torch import distributed

from xseg.metrics.ranking import BestThreshold
from xseg.metrics.registry import create_metrics
from xseg.metrics.scores import add_counts, combine_classes, compute_scores, count_image
from xseg.training.validation_counts import MultilabelCounts, ValidationCounts

NUMBERS = {"classes": 3, "ignore_index": 255}


@pytest.fixture
def pair():
    chance = np.random.default_rng(0)
    label, prediction = chance.integers(3, size=(2, 6, 8, 10))
    label[chance.random(label.shape) < 0.2] = 255
    return label, prediction


@pytest.fixture
def metrics():
    return create_metrics((), **NUMBERS)


def counted(metrics, label, prediction, size):
    counts = ValidationCounts(metrics, **NUMBERS)
    for start in range(0, len(label), size):
        counts.update(*(torch.from_numpy(array[start : start + size]) for array in (label, prediction)))
    return counts


@pytest.mark.parametrize("size", [1, 4, 6])
def test_batches_give_the_scores_of_their_images(metrics, pair, size):
    total = {}
    for label, prediction in zip(*pair, strict=True):
        total = add_counts(total, count_image(metrics, label, prediction, **NUMBERS))
    counts = counted(metrics, *pair, size)
    assert counts.compute() == compute_scores(metrics, total)
    assert counts.compute().pixels == (0, 0, 0), "each validation begins anew"


def test_metrics_of_probabilities_get_those_of_the_logits():
    chance = np.random.default_rng(0)
    numbers = {"classes": 2, "ignore_index": 255}
    metrics = create_metrics(("auc",), names=["iou"], **numbers)
    label, logits = torch.from_numpy(chance.integers(2, size=(3, 8, 10))), torch.randn(3, 2, 8, 10)
    counts, total = ValidationCounts(metrics, **numbers), {}
    counts.update(label, logits.argmax(1), logits)
    for one, scores in zip(label.numpy(), logits.softmax(1).numpy(), strict=True):
        total = add_counts(total, count_image(metrics, one, scores.argmax(0), probabilities=scores, **numbers))
    found = counts.compute()
    assert found == compute_scores(metrics, total)
    assert 0 < found.overall["auc"] < 1


@pytest.mark.parametrize("size", [1, 4, 6])
def test_batches_of_overlapping_classes_give_the_scores_of_each_class(size):
    numbers = {"classes": 2, "ignore_index": 255}
    metrics = create_metrics(("f1", "auc", BestThreshold(ignore_index=255)), names=["iou"], **numbers)
    logits, label = torch.randn(6, 3, 8, 10), torch.randint(2, (6, 3, 8, 10))
    label[torch.rand(label.shape) < 0.2] = 255
    counts = MultilabelCounts(metrics, classes=3, ignore_index=255)
    for start in range(0, 6, size):
        part = slice(start, start + size)
        counts.update(label[part], (logits[part] >= 0).long(), logits[part])
    each = []
    for index in range(3):
        total = {}
        for truth, z in zip(label[:, index].numpy(), logits[:, index].numpy(), strict=True):
            probabilities = torch.tensor(np.stack([0 * z, z])).softmax(0).numpy()
            image = count_image(metrics, truth, (z >= 0).astype(np.uint8), probabilities=probabilities, **numbers)
            total = add_counts(total, image)
        each.append(compute_scores(metrics, total))
    assert counts.compute() == combine_classes(metrics, each)
    assert counts.compute().pixels == (0, 0, 0), "each validation begins anew"


@pytest.mark.parametrize("first", [0, 2, 6])
def test_processes_give_the_scores_of_all_their_images(metrics, pair, first, monkeypatch):
    """Also where a process has no image at all."""
    whole = counted(metrics, *pair, 3).compute()
    parts = [counted(metrics, *(array[part] for array in pair), 3) for part in (slice(first), slice(first, None))]
    held = []

    def gather(everything, mine):
        held.append(mine)
        everything[:] = held

    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_gather_object", gather)
    parts[0].compute()
    assert parts[1].compute() == whole


def test_counts_beyond_what_a_float_holds_stay_exact(metrics):
    huge = 2**53 + 1
    scores = compute_scores(metrics, {"confusion": np.diag([huge, huge, 1]), "boundary_iou": np.zeros((2, 3), int)})
    assert scores.pixels == (huge, huge, 1)
