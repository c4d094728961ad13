"""Atrous spatial pyramid pooling against its branches written out."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from xseg.nn.aspp import ASPP, ConvNormRelu, ImagePooling
from xseg.nn.norm import NormSpec

NORM = NormSpec(eps=1e-2, momentum=0.2)


def build(rates=(2, 3), image_pooling=True, dropout=0.5):
    torch.manual_seed(0)
    return ASPP(6, 4, rates=rates, spec=NORM, dropout=dropout, image_pooling=image_pooling)


@pytest.mark.parametrize("image_pooling", [True, False])
@pytest.mark.parametrize("rates", [(), (6,), (2, 3, 5)])
@pytest.mark.parametrize("size", [(7, 5), (1, 1), (4, 9)])
def test_it_projects_pooling_pointwise_and_atrous_branches_in_this_order(rates, image_pooling, size, settled):
    aspp, features = settled(build(rates, image_pooling), torch.randn(2, 6, 9, 8)), torch.randn(2, 6, *size)

    def normalized(layer, values):
        assert layer.momentum == NORM.momentum
        running = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
        return F.batch_norm(values, *running, training=False, eps=NORM.eps).relu()

    branches = []
    if image_pooling:
        mean = F.conv2d(F.adaptive_avg_pool2d(features, 1), aspp.pooling.conv.weight)
        branches.append(normalized(aspp.pooling.norm, mean) * torch.ones(1, 1, *size))
    branches.append(normalized(aspp.pointwise.norm, F.conv2d(features, aspp.pointwise.conv.weight)))
    for rate, branch in zip(rates, aspp.atrous, strict=True):
        hidden = F.conv2d(features, branch.depthwise.weight, padding=rate, dilation=rate, groups=6)
        hidden = F.conv2d(normalized(branch.norm_mid, hidden), branch.pointwise.weight)
        branches.append(normalized(branch.norm_out, hidden))
    expected = normalized(aspp.projection.norm, F.conv2d(torch.cat(branches, 1), aspp.projection.conv.weight))
    assert_close(aspp(features), expected)


def test_one_image_trains_and_its_pooling_too():
    pooling = ImagePooling(6, 4, spec=NORM).train()
    nn.init.ones_(pooling.norm.bias)  # all of them behind the ReLU
    features = torch.rand(1, 6, 5, 4, requires_grad=True)
    output = pooling(features)
    assert output.shape == (1, 4, 5, 4)
    output.square().sum().backward()
    assert float(pooling.conv.weight.grad.abs().min()) > 0
    assert_close(features.grad, features.grad[..., :1, :1].expand_as(features))


def test_dropout_leaves_values_out_in_training_alone():
    aspp, features = build(dropout=0.5), torch.randn(4, 6, 16, 16)
    aspp.projection.activation = nn.Softplus()  # without zeros of its own
    assert float((aspp.train()(features) == 0).float().mean()) == pytest.approx(0.5, abs=0.05)
    assert (aspp.eval()(features) != 0).all()


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("stride", "padding"), [(1, None), (2, None), (1, 0)])
def test_a_bare_convolution_is_pytorchs_and_keeps_the_size_by_default(kernel, stride, padding):
    layer = ConvNormRelu(3, 4, spec=NORM, kernel=kernel, stride=stride, padding=padding, norm=False)
    images, pad = torch.randn(1, 3, 9, 8), kernel // 2 if padding is None else padding
    assert_close(layer(images), F.conv2d(images, *layer.parameters(), stride=stride, padding=pad))


@pytest.mark.parametrize("image_pooling", [True, False])
def test_it_scripts(image_pooling):
    aspp, features = build((2,), image_pooling).eval(), torch.randn(1, 6, 5, 7)
    assert_close(torch.jit.script(aspp)(features), aspp(features))
