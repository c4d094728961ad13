"""Xception whole."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import xseg
from xseg.errors import ConfigError


def tiny(**changes):
    torch.manual_seed(0)
    return xseg.create_classifier(**{"width": 0.125, "classes": 5, **changes})


def test_the_papers_classifier_has_the_papers_parameters():
    with torch.device("meta"):
        model = xseg.create_classifier()
    assert sum(weight.numel() for weight in model.parameters()) == 22_855_952  # Chollet 2017, Table 3
    assert model.dropout.p == 0.5


def test_the_fully_connected_layers_add_their_own_parameters():
    with torch.device("meta"):
        plain, deep = xseg.create_classifier(), xseg.create_classifier(fully_connected=(4096, 4096))
    count = [sum(weight.numel() for weight in model.parameters()) for model in (plain, deep)]
    added = (2048 + 1) * 4096 + (4096 + 1) * 4096 + (4096 - 2048) * 1000
    assert count[1] - count[0] == added


def test_logits_are_linear_in_the_mean_of_the_last_map(encoder_name):
    model = tiny(encoder=encoder_name).eval()
    images = torch.randn(2, 3, 71, 49)
    pooled = model.encoder(images)[-1].flatten(2).mean(2)
    assert_close(model(images), nn.functional.linear(pooled, model.head.weight, model.head.bias))


def test_fully_connected_layers_are_followed_by_relu():
    model = tiny(fully_connected=(7, 6)).eval()
    assert [type(part).__name__ for part in model.fully_connected] == ["Linear", "ReLU", "Linear", "ReLU"]
    assert model(torch.randn(1, 3, 64, 64)).shape == (1, 5)
    assert model.head.in_features == 6


def test_dropout_acts_while_training_and_only_then():
    model, images = tiny(), torch.randn(2, 3, 64, 64)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
    model.encoder.eval()
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


@pytest.mark.parametrize("wrong", [{"classes": 0}, {"dropout": 1.0}, {"fully_connected": (4, 0)}, {"in_channels": 0}])
def test_what_cannot_be_built_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        tiny(**wrong)


def test_a_classifiers_encoder_loads_into_a_segmentation_model(tmp_path):
    from safetensors.torch import save_file

    classifier = xseg.create_classifier(classes=4)
    save_file(
        {name: tensor.contiguous() for name, tensor in classifier.encoder.state_dict().items()},
        tmp_path / "e.safetensors",
    )
    model = xseg.create_model(encoder="xception", encoder_weights=tmp_path / "e.safetensors", classes=2)
    assert_close(dict(model.encoder.state_dict()), dict(classifier.encoder.state_dict()))
