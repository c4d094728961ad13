"""Dataclasses from plain values: what was written is read back, and anything else is told by its name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

import pytest

from xseg.errors import ConfigError
from xseg.files.serialization import from_plain
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.models.classifier import ClassifierConfig
from xseg.models.config import ModelConfig
from xseg.nn.ablation import Ablation


@dataclass(frozen=True)
class Part:
    share: float = 0.5


@dataclass(frozen=True)
class Whole:
    name: str
    count: int = 1
    stride: Literal[8, 16] = 8
    flag: bool = False
    rates: tuple[int, ...] | None = None
    pair: tuple[int, str] = (0, "")
    both: int | str = 0
    part: Part = field(default_factory=Part)


@pytest.mark.parametrize(
    "value",
    [
        ModelConfig(encoder="xception", atrous_rates=(1, 2, 3), ablation=Ablation(segments=4)),
        ClassifierConfig(classes=6, fully_connected=(100,)),
        Normalization((0.1, 0.2), (0.3, 0.4), 65535),
        LabelMap(("a", "b"), ((0, 0, 0), (255, 0, 7)), 254),
        Whole("x", 3, 16, True, (1, 2), (1, "y"), "z", Part(1)),
    ],
)
def test_what_was_written_as_json_is_read_back(value):
    again = from_plain(type(value), json.loads(json.dumps(asdict(value))), "it")
    assert again == value
    assert type(again) is type(value)


def test_a_whole_number_does_for_a_number_and_comes_out_as_one():
    part = from_plain(Part, {"share": 1}, "it")
    assert part.share == 1.0
    assert isinstance(part.share, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"it is \[\]; expected an object"),
        ({}, "it without name; expected at least name"),
        ({"name": "x", "nmae": 1}, "it with unknown keys nmae; expected a subset of name, count"),
        ({"name": 3}, "it: name is 3; expected a string"),
        ({"name": "x", "count": "3"}, "it: count is '3'; expected an integer"),
        ({"name": "x", "count": 3.0}, "it: count is 3.0; expected an integer"),
        ({"name": "x", "count": True}, "it: count is True; expected an integer"),
        ({"name": "x", "count": None}, "it: count is None; expected an integer"),
        ({"name": "x", "stride": 9}, "it: stride is 9; expected one of 8, 16"),
        ({"name": "x", "stride": 8.0}, "it: stride is 8.0; expected one of 8, 16"),
        ({"name": "x", "flag": 1}, "it: flag is 1; expected true or false"),
        ({"name": "x", "rates": "12"}, "it: rates is '12'; expected a list, each an integer"),
        ({"name": "x", "rates": [1, "2"]}, "it: rates is '2'; expected an integer"),
        ({"name": "x", "pair": [1]}, r"it: pair is \[1\]; expected 2 values"),
        ({"name": "x", "pair": [1, 2]}, "it: pair is 2; expected a string"),
        ({"name": "x", "both": 1.5}, "it: both is 1.5; expected an integer or a string"),
        ({"name": "x", "part": 7}, "it: part is 7; expected an object"),
        ({"name": "x", "part": {"share": "a"}}, "it: part: share is 'a'; expected a number"),
        ({"name": "x", "part": {"share": False}}, "it: part: share is False; expected a number"),
    ],
)
def test_what_is_wrong_is_told_by_its_name_in_a_line(values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        from_plain(Whole, values, "it")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**400], ids=["large", "small", "huge"])
@pytest.mark.parametrize("name", ["share", "count", "rates", "both"])
def test_a_number_beyond_64_bits_is_refused_by_its_name(name, value):
    values = {"name": "x", name: [value] if name == "rates" else value}
    kind = Whole
    if name == "share":
        kind, values = Part, {"share": value}
    with pytest.raises(ConfigError, match=f"it: {name} is .*; expected .*number") as caught:
        from_plain(kind, values, "it")
    assert len(str(caught.value)) < 200


def test_the_largest_number_of_64_bits_is_read():
    assert from_plain(Whole, {"name": "x", "count": 2**63 - 1}, "it").count == 2**63 - 1


def test_values_that_the_dataclass_itself_refuses_are_refused():
    with pytest.raises(ConfigError, match="classes=0"):
        from_plain(ModelConfig, {"classes": 0}, "model")
