from __future__ import annotations

import pytest
import torch
from torch import nn

from xseg.inference.folding import folded
from xseg.models.build import build_model
from xseg.models.coarse import CoarseNetwork
from xseg.models.config import ModelConfig


def norms(network):
    return [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]


@pytest.fixture
def build(settled, waves):
    def make(**settings):
        torch.manual_seed(0)
        config = ModelConfig(**{"classes": 4, "width": 0.125, "decoder_channels": 16, **settings})
        return settled(build_model(config), waves(2, 3, 65, 65))

    return make


@torch.no_grad()
@pytest.mark.parametrize("output_stride", [8, 16])
def test_it_computes_what_the_network_computes_and_leaves_it_alone(encoder_name, build, waves, output_stride):
    network = CoarseNetwork(build(encoder=encoder_name, output_stride=output_stride)).double()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = waves(1, 3, 81, 97).double()
    expected = network(images)
    fast = folded(network)
    torch.testing.assert_close(fast(images), expected, rtol=1e-9, atol=1e-9)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    if not encoder_name.endswith("p"):
        assert norms(network)
        assert not norms(fast), "every normalisation follows a convolution"
    else:
        assert len(norms(fast)) < len(norms(network))


@torch.no_grad()
def test_decoders_of_sequences_are_folded(build, waves):
    network = CoarseNetwork(build(architecture="smp_deeplabv3plus", encoder="xception", output_stride=16)).double()
    images = waves(1, 3, 64, 96).double()
    torch.testing.assert_close(folded(network)(images), network(images), rtol=1e-9, atol=1e-9)
    assert len(norms(folded(network).model.decoder)) < len(norms(network.model.decoder))


@torch.no_grad()
def test_what_is_not_a_convolution_and_its_normalisation_stays():
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4), nn.BatchNorm2d(4, track_running_stats=False)]
    network = nn.Sequential(*parts, nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)).eval()
    images = torch.randn(2, 3, 5, 5)
    assert len(norms(folded(network))) == 3
    torch.testing.assert_close(folded(network)(images), network(images))
