"""Every tensor matches exactly one rule, or the run stops and says which."""

from __future__ import annotations

import pytest
import torch

from xseg.errors import WeightsError
from xseg.weights.formats.source import Source
from xseg.weights.origins.rules import Rule, claim, drop, fit

RULES = [Rule(r"a(?P<n>\d)", "x.{n+1}"), drop("momentum", "training state")]


def source(**tensors):
    return Source("file", {name: torch.ones(2) for name in tensors}, {}, {"step": "training state"})


def test_names_are_computed_and_what_is_dropped_has_its_reason():
    claims = claim(source(a1=1, a2=1, momentum=1), RULES)
    assert claims.used == {"x.2": "a1", "x.3": "a2"}
    assert claims.dropped == {"step": "training state", "momentum": "training state"}


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (RULES[1:], "a1 matches 0 rules"),
        ([*RULES, Rule("a1", "y")], "a1 matches 2 rules"),
        ([Rule(r"a\d", "x")], "a2 and a1 both become x"),
    ],
)
def test_what_is_not_claimed_once_stops_the_run(rules, said):
    with pytest.raises(WeightsError, match=said):
        claim(source(a1=1, a2=1), rules)


def test_all_problems_are_counted_and_the_first_ones_listed_with_the_nearest_name():
    claims = claim(source(**{f"a{number}": 1 for number in range(8)}), RULES)
    wanted = {f"x.{number}": torch.ones(2) for number in range(1, 9)}
    assert fit(source(), claims, wanted).keys() == wanted.keys()
    with pytest.raises(WeightsError) as caught:
        fit(source(), claims, {f"z.{number}": torch.ones(2) for number in range(8)})
    assert "16 tensors do not fit" in str(caught.value)
    assert "and 10 more" in str(caught.value)
    with pytest.raises(WeightsError, match=r"missing x\.11, nearest x\.1; unknown a0 \(x\.1, nearest x\.11\)"):
        fit(source(), claims, {**{name: wanted[name] for name in wanted if name != "x.1"}, "x.11": torch.ones(2)})


def test_a_name_that_no_rule_knows_is_told_with_the_nearest_that_one_does():
    with pytest.raises(WeightsError, match="a1x matches 0 rules, nearest a1; expected"):
        claim(source(a1=1, b=1, a1x=1), [*RULES, Rule("b", "y")])


@pytest.mark.parametrize(
    ("layout", "shape", "arranged"),
    [
        ("same", (5, 4), (5, 4)),
        ("conv", (3, 2, 4, 5), (5, 4, 3, 2)),
        ("depthwise", (3, 2, 4, 1), (4, 1, 3, 2)),
        ("matrix", (5, 4), (5, 4, 1, 1)),
        ("matrix", (5, 4, 1, 1), (5, 4, 1, 1)),
    ],
)
def test_axes_are_put_in_our_order(layout, shape, arranged):
    tensor = torch.arange(torch.Size(shape).numel()).reshape(shape).float()
    state = claim(Source("file", {"a": tensor}), [Rule("a", "x", layout)]).state
    assert tuple(state["x"].shape) == arranged


def test_a_kernel_without_four_axes_is_refused():
    with pytest.raises(WeightsError, match=r"a has shape \[2\]; expected four axes"):
        claim(Source("file", {"a": torch.ones(2)}), [Rule("a", "x", "conv")])
