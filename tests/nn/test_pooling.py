"""Max-pooling against windows written out one by one."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from xseg.nn.pooling import AtrousMaxPool2d, same_pad_before

GRIDS = [(2, 1), (1, 1), (1, 2), (1, 4)]


def below_zero(*size):
    """Return features that zeros of the padding would win over."""
    torch.manual_seed(0)
    return -1 - torch.rand(1, 2, *size)


def slow_pool(features, stride, dilation):
    """Return the highest value on the map of every centred window."""
    height, width = features.shape[-2:]
    output = torch.empty(*features.shape[:2], math.ceil(height / stride), math.ceil(width / stride))
    for row in range(output.shape[-2]):
        for column in range(output.shape[-1]):
            rows = [stride * row + dilation * step for step in (-1, 0, 1)]
            columns = [stride * column + dilation * step for step in (-1, 0, 1)]
            rows, columns = [r for r in rows if 0 <= r < height], [c for c in columns if 0 <= c < width]
            output[..., row, column] = features[:, :, rows][..., columns].amax((2, 3))
    return output


@pytest.mark.parametrize(("stride", "dilation"), GRIDS)
@pytest.mark.parametrize("size", [(9, 12), (5, 7), (2, 3)])
def test_symmetric_windows_are_centred_and_see_the_map_alone(size, stride, dilation):
    features = below_zero(*size)
    pooled = AtrousMaxPool2d(stride=stride, dilation=dilation, padding="symmetric")(features)
    assert_close(pooled, slow_pool(features, stride, dilation))


@pytest.mark.parametrize("size", [(9, 12), (12, 9), (8, 8), (7, 7), (2, 3)])
def test_tf_same_divides_the_padding_as_tensorflow_does(size):
    features = below_zero(*size)
    totals = [max((math.ceil(side / 2) - 1) * 2 + 3 - side, 0) for side in size]  # tf.nn, "SAME" padding
    before = [total // 2 for total in totals]
    assert [same_pad_before(side, 1) for side in size] == before
    padding = [before[1], totals[1] - before[1], before[0], totals[0] - before[0]]
    expected = F.max_pool2d(F.pad(features, padding, value=-math.inf), 3, stride=2)
    pooled = AtrousMaxPool2d(stride=2, dilation=1, padding="tf_same")(features)
    assert_close(pooled, expected)


@pytest.mark.parametrize("padding", ["symmetric", "tf_same"])
@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("size", [(16, 17), (13, 18), (11, 15), (20, 9)])
def test_the_dense_map_contains_the_coarse_one(size, dilation, padding):
    features = below_zero(*size)
    dense = AtrousMaxPool2d(stride=1, dilation=dilation, padding=padding)(features)
    coarse = AtrousMaxPool2d(stride=2, dilation=1, padding=padding)(features[..., ::dilation, ::dilation])
    assert dense.shape == features.shape
    assert_close(dense[..., :: 2 * dilation, :: 2 * dilation], coarse)


@pytest.mark.parametrize("padding", ["symmetric", "tf_same"])
@pytest.mark.parametrize(("stride", "dilation"), GRIDS)
def test_it_scripts(stride, dilation, padding):
    pool, features = AtrousMaxPool2d(stride=stride, dilation=dilation, padding=padding), below_zero(8, 9)
    assert_close(torch.jit.script(pool)(features), pool(features))
