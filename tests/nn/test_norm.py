"""Batch normalisation: PyTorch's own, but for a single value per channel."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from xseg.nn.norm import NormSpec, PooledBatchNorm2d, batch_norm


def pair(**numbers):
    """Return a pooled normalisation and PyTorch's, with the same parameters and statistics, none of them 0 or 1."""
    torch.manual_seed(0)
    ours, theirs = PooledBatchNorm2d(4, **numbers), nn.BatchNorm2d(4, **numbers)
    for tensor in (ours.weight, ours.bias, ours.running_mean, ours.running_var):
        nn.init.uniform_(tensor, 0.5, 1.5)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def test_the_default_numbers_are_pytorchs_and_others_are_passed_on():
    plain = nn.BatchNorm2d(3)
    assert (NormSpec().eps, NormSpec().momentum) == (plain.eps, plain.momentum)
    layer = batch_norm(3, NormSpec(eps=1e-3, momentum=0.01))
    assert (layer.num_features, layer.eps, layer.momentum) == (3, 1e-3, 0.01)


@pytest.mark.parametrize("shape", [(2, 4, 1, 1), (1, 4, 1, 2), (1, 4, 2, 1), (3, 4, 5, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_with_two_values_or_more_it_is_pytorchs(shape, training):
    ours, theirs = (layer.train(training) for layer in pair(eps=0.1, momentum=0.3))
    for _ in range(2):
        images = torch.randn(shape)
        assert_close(ours(images), theirs(images))
    assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))
    assert int(ours.num_batches_tracked) == 2 * training


def test_a_single_value_is_normalised_by_the_running_statistics_which_stay():
    ours, theirs = pair(eps=0.1, momentum=0.3)
    images = torch.randn(1, 4, 1, 1, requires_grad=True)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    output = ours.train()(images)
    assert_close(output, theirs.eval()(images))
    assert_close(dict(ours.state_dict()), before)
    (gradient,) = torch.autograd.grad(output.sum(), images)
    assert_close(gradient.flatten(), (ours.weight / (ours.running_var + 0.1).sqrt()).detach())
