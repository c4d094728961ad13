"""Ignored pixels change no score, whatever is predicted there."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xseg.metrics.metric import confusion_matrix
from xseg.metrics.registry import METRICS as REGISTRY
from xseg.training.validation_counts import count_pairs

CLASSES, IGNORED = 4, 255


def training(label, prediction):
    """What a training counts its validation with."""
    pair = (torch.from_numpy(array) for array in (label, prediction))
    return count_pairs(*pair, classes=CLASSES, ignore_index=IGNORED).numpy()


def counted(label, prediction):
    return confusion_matrix(label, prediction, classes=CLASSES, ignore_index=IGNORED)


METRICS = {
    "confusion": lambda *pair: counted(*pair).tolist(),
    "training": lambda *pair: training(*pair).tolist(),
    **{
        name: kind(classes=CLASSES, ignore_index=IGNORED).count
        for name, kind in REGISTRY.items()
        if not kind.needs_probabilities  # see test_ranking.py
    },
}


@pytest.mark.parametrize("name", METRICS)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), share=st.floats(0, 1))
def test_what_is_predicted_under_ignored_pixels_does_not_matter(name, seed, share):
    chance = np.random.default_rng(seed)
    # blocks, as real masks have, so that there are boundaries that are not everywhere
    label, prediction = (chance.integers(CLASSES, size=(5, 6)).repeat(4, 0).repeat(4, 1) for _ in range(2))
    hidden = (chance.random((5, 6)) < share).repeat(4, 0).repeat(4, 1)
    label[hidden] = IGNORED
    other = np.where(hidden, chance.integers(CLASSES, size=hidden.shape), prediction)
    assert np.array_equal(METRICS[name](label, other), METRICS[name](label, prediction))


def test_both_ways_of_counting_agree():
    chance = np.random.default_rng(0)
    label, prediction = chance.integers(CLASSES, size=(2, 20, 30))
    label[:5] = IGNORED
    assert (training(label, prediction) == counted(label, prediction)).all()
    assert counted(label, prediction).sum() == 15 * 30
