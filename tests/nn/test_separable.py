"""The separable convolution against the full convolution that it factorises, and against its parts in a row."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from xseg.nn.norm import NormSpec
from xseg.nn.separable import SeparableConv2d

NORM = NormSpec(eps=1e-3, momentum=0.25)
NORMS = {"each": ("norm_mid", "norm_out"), "last": ("norm_out",), "first": ("norm_in",), "none": ()}


def build(norm="none", activation="none", **arguments):
    torch.manual_seed(0)
    return SeparableConv2d(5, 8, norm=norm, activation=activation, spec=NORM, **arguments).double()


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 3), (2, 2)])
@pytest.mark.parametrize("size", [(12, 9), (7, 14), (1, 2)])
def test_it_is_the_full_convolution_of_the_product_of_its_kernels(size, stride, dilation):
    conv, images = build(stride=stride, dilation=dilation), torch.randn(2, 5, *size, dtype=torch.float64)
    full = conv.pointwise.weight * conv.depthwise.weight.transpose(0, 1)
    assert full.shape == (8, 5, 3, 3)
    assert_close(conv(images), F.conv2d(images, full, stride=stride, padding=dilation, dilation=dilation))


@pytest.mark.parametrize("activation", ["before", "after", "none"])
@pytest.mark.parametrize("norm", NORMS)
def test_normalisations_and_activations_are_where_the_words_say(norm, activation, settled):
    images = torch.randn(2, 5, 9, 8, dtype=torch.float64)
    conv = settled(build(norm, activation), images)

    def normalized(name, features):
        layer = getattr(conv, name)
        if name not in NORMS[norm]:
            return features
        assert layer.momentum == NORM.momentum
        running = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
        return F.batch_norm(features, *running, training=False, eps=NORM.eps)

    hidden = normalized("norm_in", images)
    hidden = F.conv2d(hidden.relu() if activation == "before" else hidden, conv.depthwise.weight, padding=1, groups=5)
    hidden = normalized("norm_mid", hidden)
    hidden = F.conv2d(hidden.relu() if activation == "after" and norm == "each" else hidden, conv.pointwise.weight)
    hidden = normalized("norm_out", hidden)
    assert_close(conv(images), hidden.relu() if activation == "after" else hidden)
