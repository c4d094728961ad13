"""The atrous depthwise convolution against PyTorch's own, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from xseg.nn.atrous import AtrousDepthwiseFunction, DepthwiseConv2d, shifted


@pytest.mark.parametrize("rate", [2, 3, 5, 9, 12])
@pytest.mark.parametrize("size", [(9, 11), (15, 8), (1, 1)])
def test_values_and_gradients_equal_pytorchs(rate, size):
    torch.manual_seed(0)
    features = torch.randn(2, 4, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(2, 4, *size, dtype=torch.float64)
    expected = F.conv2d(features, weight, padding=rate, dilation=rate, groups=4)
    output = AtrousDepthwiseFunction.apply(features, weight, rate)
    assert_close(output, expected)
    assert_close(
        torch.autograd.grad(output, (features, weight), gradient),
        torch.autograd.grad(expected, (features, weight), gradient),
    )


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    features = torch.randn(1, 2, 7, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: AtrousDepthwiseFunction.apply(x, w, 2), (features, weight))


@pytest.mark.parametrize("needed", [(True, False), (False, True)])
def test_only_needed_gradients_are_computed(needed):
    features = torch.randn(1, 2, 7, 6, requires_grad=needed[0])
    weight = torch.randn(2, 1, 3, 3, requires_grad=needed[1])
    AtrousDepthwiseFunction.apply(features, weight, 2).sum().backward()
    assert (features.grad is not None, weight.grad is not None) == needed


def test_bfloat16_gradients_are_near_exact_ones():
    torch.manual_seed(0)
    layer = DepthwiseConv2d(64, dilation=6)
    features = torch.randn(4, 64, 20, 20, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(features)
    assert output.dtype == torch.bfloat16
    output.float().pow(2).sum().backward()
    exact = layer.weight.detach().double().requires_grad_()
    F.conv2d(features.detach().double(), exact, padding=6, dilation=6, groups=64).pow(2).sum().backward()
    assert float((layer.weight.grad - exact.grad).norm() / exact.grad.norm()) < 1e-2


def test_the_layer_has_a_plain_convolutions_weight_and_scripts():
    layer = DepthwiseConv2d(8, dilation=3)
    assert {name: tuple(tensor.shape) for name, tensor in layer.state_dict().items()} == {"weight": (8, 1, 3, 3)}
    features = torch.randn(1, 8, 12, 12)
    assert_close(torch.jit.script(layer)(features), layer(features))
    assert_close(torch.jit.trace(layer, features)(features), layer(features))


@pytest.mark.parametrize(("down", "right"), [(2, -1), (-3, 0), (0, 0), (9, 9)])
def test_shifting_keeps_the_overlap(down, right):
    ramp = torch.arange(30.0).reshape(1, 1, 5, 6)
    kept = shifted(ramp, down, right)
    rows = [r for r in range(5) if 0 <= r - down < 5]
    columns = [c for c in range(6) if 0 <= c - right < 6]
    assert kept.shape[-2:] == (len(rows), len(columns))
    if rows and columns:
        assert_close(kept, ramp[:, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
