"""What a threshold means is the same for whole images, tiles, scales and mirror images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from xseg.errors import ConfigError
from xseg.images.normalization import Normalization
from xseg.inference.accumulator import Region
from xseg.inference.options import InferenceOptions
from xseg.inference.predictor import Predictor
from xseg.labels.decision import Decision
from xseg.labels.label_map import LabelMap

LOGITS = arrays(np.float32, (3, 4, 5), elements=st.floats(-200, 200, width=32))
WAYS = [{}, {"tile": 20, "overlap": 6}, {"flip": True}, {"scales": (0.5, 1.0)}]


class FirstChannels(nn.Module):
    """Logits are the first channels, sharpened."""

    def __init__(self, classes):
        super().__init__()
        self.weight, self.classes = nn.Parameter(torch.tensor(6.0)), classes

    def forward(self, images):
        return images[:, : self.classes] * self.weight


def predict(image, *, classes=2, overlapping=False, stored=(), **options):
    predictor = Predictor(
        FirstChannels(classes),
        labels=LabelMap(("background", "vessel", "lesion")[:classes]),
        normalization=Normalization(),
        options=InferenceOptions(device="cpu", **options),
        decision=Decision(overlapping, stored),
    )
    return predictor(image)


@pytest.fixture
def image(photo):
    return photo(33, 41)


@given(LOGITS, st.booleans())
def test_probabilities_are_torchs_and_those_of_tiles_equal_those_of_whole_images(logits, overlapping):
    expected = torch.from_numpy(logits).sigmoid() if overlapping else torch.from_numpy(logits).softmax(0)
    decision = Decision(overlapping)
    tiles = decision.batch_probabilities(torch.from_numpy(logits)[None])[0]
    np.testing.assert_allclose(tiles, expected, atol=1e-6)
    np.testing.assert_allclose(decision.probabilities(logits.copy()), expected, atol=1e-6)


@settings(deadline=None)
@given(arrays(np.float32, (2, 3, 4), elements=st.floats(0, 1, width=32)), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_adds_foreground(probabilities, one, other):
    low, high = sorted((one, other))
    for overlapping in (False, True):
        some, more = (Decision(overlapping, (t,) * (1 + overlapping)).labels(probabilities) for t in (high, low))
        assert (some <= more).all()
    everything, certain = (Decision(thresholds=(t,)).labels(probabilities) for t in (0.0, 1.0))
    assert everything.all()
    assert np.array_equal(certain, probabilities[1] == 1)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_a_pixel_is_foreground_where_its_probability_reaches_the_threshold(image, way, threshold):
    plain = predict(image, **way)
    decided = predict(image, threshold=(str(threshold),), **way)
    assert np.array_equal(decided.mask, plain.probabilities[1] >= np.float32(threshold))
    assert np.array_equal(predict(image, stored=(threshold,), **way).mask, decided.mask)
    assert np.array_equal(predict(image, stored=(0.123,), threshold=(str(threshold),), **way).mask, decided.mask)
    assert decided.mask.dtype == np.uint8
    assert decided.pixels["vessel"] == decided.mask.sum()


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_half_is_the_best_class_except_for_ties(image, way):
    image[:4, :, 1] = image[:4, :, 0]
    plain, half = predict(image, **way), predict(image, threshold=("0.5",), **way)
    tie = np.abs(plain.probabilities[1] - 0.5) < 1e-6
    assert tie.any()
    assert np.array_equal(plain.mask[~tie], half.mask[~tie])
    exact = plain.probabilities[1] == plain.probabilities[0]
    assert not plain.mask[exact].any()
    assert half.mask[exact].all()


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_overlapping_classes_are_decided_each_by_its_own_sigmoid_and_threshold(image, way):
    prediction = predict(image, classes=3, overlapping=True, threshold=("0.3", "lesion=0.8"), **way)
    assert prediction.mask.shape == (33, 41, 3)
    assert prediction.mask.dtype == np.uint8
    expected = np.moveaxis(prediction.probabilities, 0, -1) >= np.array([0.3, 0.3, 0.8], np.float32)
    assert np.array_equal(prediction.mask, expected)
    alone = predict(image, classes=1, overlapping=True, threshold=("0.3",), **way)
    assert np.array_equal(alone.mask[..., 0], prediction.mask[..., 0])
    assert {0, 2, 3} <= set(prediction.mask.sum(2).ravel().tolist())
    assert np.array_equal(
        predict(image, classes=3, overlapping=True, **way).mask, np.moveaxis(prediction.probabilities, 0, -1) >= 0.5
    )


def test_pixels_without_data_have_no_class(image):
    probabilities = torch.rand(3, 4, 5)
    valid = np.zeros((4, 5), np.bool_)
    valid[:, 0] = True
    for decision in (Decision(), Decision(overlapping=True), Decision(overlapping=True, thresholds=(0.1, 0.2, 0.3))):
        labels = Region(slice(0, 4), slice(0, 5), probabilities, valid, decision).labels(255)
        assert (labels[~valid] == 255).all()
        assert np.array_equal(labels[valid], decision.labels(probabilities.numpy())[valid])


def test_a_threshold_for_three_exclusive_classes_is_refused(image):
    with pytest.raises(ConfigError, match=r"threshold=0.4 for 3 exclusive classes; expected a model with two"):
        predict(image, classes=3, threshold=("0.4",))
