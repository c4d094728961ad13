"""Every ablation of the paper is an encoder like the others."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import xseg
from xseg.errors import ConfigError
from xseg.files.serialization import from_plain
from xseg.models.config import ModelConfig
from xseg.nn.ablation import Ablation
from xseg.nn.norm import NormSpec
from xseg.nn.separable import SeparableConv2d

ABLATIONS = [
    Ablation(order="pointwise_first"),
    Ablation(segments=1),
    Ablation(segments=3),
    Ablation(segments=4, order="pointwise_first"),
    Ablation(between="relu"),
    Ablation(between="elu"),
    Ablation(depth_multiplier=2),
    Ablation(depth_multiplier=2, order="pointwise_first"),
    Ablation(residual=False),
]
NORM = NormSpec(eps=1e-3, momentum=0.1)


@pytest.fixture(params=ABLATIONS, ids=str)
def ablation(request):
    return request.param


def build(name, ablation, output_stride=32):
    torch.manual_seed(0)
    return xseg.create_encoder(name, width=0.125, ablation=ablation, output_stride=output_stride).eval()


def test_shapes_are_the_tables(encoder_name, ablation):
    plain, changed = build(encoder_name, None), build(encoder_name, ablation)
    images = torch.randn(1, 3, 65, 49)
    assert [map_.shape for map_ in changed(images)] == [map_.shape for map_ in plain(images)]
    assert changed.out_channels == plain.out_channels


def test_an_ablation_of_nothing_is_the_table(encoder_name):
    plain, same = build(encoder_name, None), build(encoder_name, Ablation())
    assert_close(dict(same.state_dict()), dict(plain.state_dict()))


def test_it_computes_the_same_features_on_a_denser_grid(encoder_name, ablation):
    sparse, dense = build(encoder_name, ablation, 32), build(encoder_name, ablation, 8)
    dense.load_state_dict(sparse.state_dict())
    images = torch.randn(1, 3, 65, 65)
    sparse, dense = sparse.double(), dense.double()
    assert_close(dense(images.double())[-1][..., ::4, ::4], sparse(images.double())[-1], rtol=1e-9, atol=1e-9)


def test_every_parameter_learns(ablation):
    model = xseg.create_model(encoder="xception", width=0.125, classes=3, decoder_channels=16, ablation=ablation)
    model(torch.randn(2, 3, 65, 65)).square().mean().backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


def test_without_residual_connections_there_are_no_shortcuts(encoder_name):
    names = build(encoder_name, Ablation(residual=False)).state_dict()
    assert not [name for name in names if "shortcut" in name]
    assert [name for name in build(encoder_name, None).state_dict() if "shortcut" in name]


def separable(ablation, norm="none"):
    torch.manual_seed(0)
    return SeparableConv2d(6, 8, norm=norm, activation="none", spec=NORM, ablation=ablation)


def test_the_order_is_that_of_the_halves():
    conv, images = separable(Ablation(order="pointwise_first")), torch.randn(2, 6, 7, 5)
    assert conv.depthwise.weight.shape == (8, 1, 3, 3)
    assert_close(conv(images), conv.depthwise(conv.pointwise(images)))
    conv = separable(Ablation())
    assert conv.depthwise.weight.shape == (6, 1, 3, 3)
    assert_close(conv(images), conv.pointwise(conv.depthwise(images)))


@pytest.mark.parametrize("order", ["depthwise_first", "pointwise_first"])
@pytest.mark.parametrize(("between", "function"), [("relu", nn.functional.relu), ("elu", nn.functional.elu)])
def test_the_non_linearity_is_between_the_halves(between, function, order):
    conv, images = separable(Ablation(between=between, order=order)), torch.randn(2, 6, 7, 5)
    first, second = (conv.depthwise, conv.pointwise) if order == "depthwise_first" else (conv.pointwise, conv.depthwise)
    assert_close(conv(images), second(function(first(images))))


@pytest.mark.parametrize(("order", "hidden"), [("depthwise_first", 12), ("pointwise_first", 4)])
def test_the_multiplier_widens_behind_the_spatial_half(order, hidden):
    conv = separable(Ablation(depth_multiplier=2, order=order), norm="each")
    assert conv.norm_mid.num_features == hidden
    assert conv(torch.randn(2, 6, 7, 5)).shape == (2, 8, 7, 5)


def test_a_multiplier_that_does_not_divide_the_output_is_refused():
    with pytest.raises(ConfigError, match="divisor of 8 channels"):
        separable(Ablation(depth_multiplier=3, order="pointwise_first"))


@pytest.mark.parametrize("wrong", [{"segments": 0}, {"depth_multiplier": 0}, {"order": "both"}, {"between": "gelu"}])
def test_what_is_no_ablation_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Ablation(**wrong)


def test_a_models_configuration_keeps_it(ablation):
    config = ModelConfig(encoder="xception", ablation=ablation)
    assert from_plain(ModelConfig, json.loads(json.dumps(asdict(config))), "model") == config
    assert str(ablation)
    assert not str(Ablation())


def test_an_unknown_key_of_an_ablation_is_refused():
    with pytest.raises(ConfigError, match="ablation with unknown keys segmnets"):
        from_plain(Ablation, {"segmnets": 3}, "ablation")
