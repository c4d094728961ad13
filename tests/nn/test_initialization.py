"""Random weights: their distribution, and which convolution gets which."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xseg.nn.initialization import initialize, truncated_normal_

STD_OF_TRUNCATED = 0.87962566  # of a normal distribution of standard deviation 1, cut at 2


@pytest.mark.parametrize("std", [0.09, 2.0])
def test_values_have_the_truncated_normal_distribution(std):
    torch.manual_seed(0)
    weight, reference = torch.empty(20_000), torch.empty(20_000)
    truncated_normal_(weight, std)
    nn.init.trunc_normal_(reference, std=std, a=-2 * std, b=2 * std)
    assert float(weight.abs().max()) <= 2 * std
    assert float(weight.std()) == pytest.approx(STD_OF_TRUNCATED * std, rel=0.03)
    shares = torch.linspace(0.02, 0.98, 25)
    difference = torch.quantile(weight, shares) - torch.quantile(reference, shares)
    assert float(difference.abs().max()) < 0.06 * std


def test_each_convolution_gets_the_deviation_of_its_kind_and_nothing_else_is_touched():
    torch.manual_seed(0)
    kinds = {
        "depthwise": nn.Conv2d(512, 512, 3, groups=512),
        "pointwise": nn.Conv2d(64, 64, 1),
        "grouped": nn.Conv2d(64, 64, 3, groups=4),
        "one channel": nn.Conv2d(1, 512, 3),
    }
    norm = nn.BatchNorm2d(4)
    nn.init.constant_(norm.weight, 0.7)
    initialize(nn.Sequential(*kinds.values(), norm), depthwise=0.5, pointwise=0.01)
    for kind, conv in kinds.items():
        wanted = 0.5 if kind == "depthwise" else 0.01
        assert float(conv.weight.detach().std()) == pytest.approx(STD_OF_TRUNCATED * wanted, rel=0.05), kind
        assert not conv.bias.any(), kind
    assert norm.weight.tolist() == pytest.approx([0.7] * 4)
