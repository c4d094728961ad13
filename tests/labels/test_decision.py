from __future__ import annotations

import re

import pytest

from xseg.errors import ConfigError
from xseg.labels.decision import Decision
from xseg.labels.label_map import LabelMap
from xseg.labels.threshold import threshold_texts

TWO = LabelMap(("background", "vessel"))
THREE = LabelMap(("tumor", "edema", "a=b"))


@pytest.mark.parametrize(
    ("threshold", "texts"),
    [
        (0.4, ("0.4",)),
        (0, ("0",)),
        ("tumor=0.3", ("tumor=0.3",)),
        ({"tumor": 0.3, "a=b": 1}, ("tumor=0.3", "a=b=1")),
        (["0.2", "edema=0.6"], ("0.2", "edema=0.6")),
        ((), ()),
    ],
)
def test_numbers_dictionaries_and_texts_are_the_same(threshold, texts):
    assert threshold_texts(threshold) == texts
    assert threshold_texts(texts) == texts


@pytest.mark.parametrize(
    ("texts", "labels", "overlapping", "stored", "expected"),
    [
        ((), TWO, False, (), ()),
        ((), TWO, False, (0.3,), (0.3,)),
        (("0.7",), TWO, False, (0.3,), (0.7,)),
        (("vessel=0.7",), TWO, False, (), (0.7,)),
        (("0.2",), THREE, True, (0.6, 0.7, 0.8), (0.2, 0.2, 0.2)),
        (("a=b=0.2",), THREE, True, (), (0.5, 0.5, 0.2)),
        (("edema=0.2",), THREE, True, (0.6, 0.7, 0.8), (0.6, 0.2, 0.8)),
        (("0.9", "edema=0.2"), THREE, True, (0.6, 0.7, 0.8), (0.9, 0.2, 0.9)),
        (("0.4",), LabelMap(("fire",)), True, (), (0.4,)),
    ],
)
def test_a_requested_threshold_replaces_the_stored_one(texts, labels, overlapping, stored, expected):
    assert Decision(overlapping, stored).requested(texts, labels) == Decision(overlapping, expected)


@pytest.mark.parametrize("text", ["1.1", "-0.1", "nan", "half", "tumor=", "tumor=x", ""])
def test_a_threshold_that_is_no_share_is_one_line(text):
    with pytest.raises(ConfigError, match=rf"threshold={text}; expected a number from 0 to 1, or NAME=NUMBER"):
        threshold_texts([text])


def test_two_thresholds_for_one_class_are_one_line():
    with pytest.raises(ConfigError, match=r"threshold=0.3 0.4; expected one number, or one per class"):
        threshold_texts(["0.3", "0.4"])


@pytest.mark.parametrize(
    ("texts", "labels", "overlapping", "message"),
    [
        (("0.5",), THREE, False, "threshold=0.5 for 3 exclusive classes; expected a model with two classes"),
        (("0.5",), LabelMap(("fire",)), False, "threshold=0.5 for 1 exclusive classes"),
        (("tumour=0.5",), THREE, True, "threshold=tumour=0.5; expected one of the classes tumor, edema, a=b"),
        (("background=0.5",), TWO, False, "threshold=background=0.5; expected one of the classes vessel"),
    ],
)
def test_a_threshold_that_does_not_fit_the_model_is_one_line(texts, labels, overlapping, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        Decision(overlapping).requested(texts, labels)
