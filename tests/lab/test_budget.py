"""Networks of equal size."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

import xseg
from xseg.encoders.variants import encoder_spec
from xseg.errors import ConfigError
from xseg.lab.budget import TOLERANCE, Network, count_multiply_adds, solve, to_single_channels
from xseg.lab.studies import STUDIES, Study, Variant, study_named


@pytest.fixture(scope="module")
def solved():
    """Return the networks of a study; each study is solved once."""
    return cache(lambda name: solve(STUDIES[name], width=0.25, classes=10, dropout=0.0, size=64))


@pytest.mark.parametrize("name", STUDIES)
def test_every_network_of_a_study_has_as_many_parameters(name, solved):
    study, networks = STUDIES[name], solved(name)
    with torch.device("meta"):
        counted = [sum(parameter.numel() for parameter in network.build().parameters()) for network in networks]
    assert counted == [network.parameters for network in networks]
    assert max(counted) / min(counted) < 1 + 2 * TOLERANCE
    assert [network.variant for network in networks] == [*study.variants]
    assert networks[0].width == 0.25


def test_what_changes_no_parameter_changes_no_width(solved):
    assert {network.width for network in solved("activation")} == {0.25}


def test_the_knob_makes_networks_narrower(solved):
    widths = [network.width for network in solved("segments")]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.5 * widths[0]


def test_a_budget_that_cannot_be_met_is_refused():
    many = Study("many", "", "", "", (Variant("one"), Variant("ten", xseg.Ablation(segments=300))))
    with pytest.raises(ConfigError, match=r"ten has .* parameters at its nearest width"):
        solve(many, width=0.125, classes=2, dropout=0.0, size=64)


def test_single_channels_round_to_one_and_not_to_eight():
    spec = to_single_channels(encoder_spec("xception"), 0.251)
    assert spec.stem == (8, 16)
    assert {width for stage in spec.stages for width in stage.widths} == {32, 64, 183, 257, 386, 514}


def test_a_variant_with_fully_connected_layers_has_them_at_twice_the_features():
    network = Network(Variant("deep", fully_connected=2), 0.125, 3, 0.0)
    layers = [part for part in network.build().modules() if isinstance(part, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(256, 512), (512, 512), (512, 3)]


def test_multiply_adds_are_counted_by_hand():
    model = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False), nn.Conv2d(6, 5, 1, stride=2))
    with torch.device("meta"):
        assert count_multiply_adds(model.to("meta"), torch.empty(2, 4, 8, 8)) == 2 * (64 * 6 * 2 * 9 + 16 * 5 * 6)


def test_a_study_that_is_not_there_is_told_with_the_nearest():
    assert study_named("residual") is STUDIES["residual"]
    with pytest.raises(ConfigError, match="did you mean residual"):
        study_named("residuals")


def test_two_variants_need_two_names():
    with pytest.raises(ConfigError, match="a different name"):
        Study("x", "", "", "", (Variant("a"), Variant("a")))
