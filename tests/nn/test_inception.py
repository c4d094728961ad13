"""The paper's step from an Inception module to a separable convolution, as equalities."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from xseg.errors import ConfigError
from xseg.nn.inception import (
    Convolution,
    Inception,
    InceptionModule,
    asymmetric,
    canonical,
    equivalent,
    extreme,
    factorised,
    naive,
    receptive_field,
    reduced,
    simplified,
)

MODULES = {
    maker.__name__: maker(8) for maker in (naive, reduced, factorised, asymmetric, canonical, simplified, equivalent)
} | {"extreme": extreme(8)}


@pytest.mark.parametrize("segments", [1, 3, 4])
def test_figure_2_equals_figure_3_with_the_same_weights(segments):
    towers = InceptionModule(6, simplified(4, segments))
    single = InceptionModule(6, equivalent(4, segments))
    state = towers.state_dict()
    names = single.state_dict()
    for position, name in enumerate(names):
        names[name] = torch.cat([state[f"towers.{tower}.{position}.conv.weight"] for tower in range(segments)])
    single.load_state_dict(names)
    images = torch.randn(2, 6, 9, 8)
    assert_close(single(images), towers(images), rtol=0, atol=1e-6)


def test_figure_4_is_figure_3_with_a_segment_per_channel():
    assert extreme(5).towers == equivalent(1, segments=5).towers


@pytest.mark.parametrize("name", MODULES)
def test_shapes_and_parameters_follow_from_the_table(name):
    table = MODULES[name]
    module = InceptionModule(6, table)
    output = module(torch.randn(2, 6, 9, 8))
    assert output.shape == (2, table.out_channels(6), 9, 8)
    assert sum(weight.numel() for weight in module.parameters()) == table.parameters(6)


@pytest.mark.parametrize("name", MODULES)
def test_multiply_adds_are_what_the_convolutions_do(name):
    module, counted = InceptionModule(6, MODULES[name]), 0

    def count(conv, _inputs, output):
        nonlocal counted
        counted += output.numel() * conv.weight[0].numel()

    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.register_forward_hook(count)
    module(torch.randn(1, 6, 9, 8))
    assert counted == MODULES[name].multiply_adds(6, 9, 8)


@pytest.mark.parametrize("name", MODULES)
def test_a_tower_sees_as_far_as_its_receptive_field(name):
    for tower in MODULES[name].towers:
        module = InceptionModule(2, Inception((tuple(_positive(tower)),), "")).double()
        for weight in module.parameters():
            weight.data.fill_(1)
        images = torch.ones(1, 2, 19, 21, dtype=torch.float64) + torch.rand(1, 2, 19, 21, dtype=torch.float64)
        images.requires_grad_()
        output = module(images)
        rows, columns = receptive_field(tower)
        seen = torch.zeros(19, 21, dtype=torch.bool)
        for _ in range(40):  # a maximum's gradient goes to one pixel of its window, so other images are asked too
            (gradient,) = torch.autograd.grad(output[0, :, 9, 10].sum(), images)
            seen |= gradient[0].abs().sum(0) > 0
            images = (1 + torch.rand(1, 2, 19, 21, dtype=torch.float64)).requires_grad_()
            output = module(images)
        found = seen.nonzero()
        assert (found.max(0).values - found.min(0).values + 1).tolist() == [rows, columns]


def _positive(tower):
    return [Convolution(2, step.kernel) if isinstance(step, Convolution) else step for step in tower]


def test_two_3x3_see_as_far_as_one_5x5_with_18_of_25_parameters():
    """Szegedy et al. 2016, section 3.1."""
    two, one = (Convolution(8, (3, 3)),) * 2, (Convolution(8, (5, 5)),)
    assert receptive_field(two) == receptive_field(one) == (5, 5)
    assert 25 * Inception((two,), "").parameters(8) == 18 * Inception((one,), "").parameters(8)


def test_1x7_then_7x1_sees_as_far_as_7x7_with_14_of_49_parameters():
    row_column, full = (Convolution(8, (1, 7)), Convolution(8, (7, 1))), (Convolution(8, (7, 7)),)
    assert receptive_field(row_column) == receptive_field(full) == (7, 7)
    assert 49 * Inception((row_column,), "").parameters(8) == 14 * Inception((full,), "").parameters(8)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Convolution(8, (2, 3)), "odd kernels"),
        (lambda: Convolution(0), "1 or more"),
        (lambda: Convolution(8, (3, 3), segments=3), "divisor"),
        (lambda: Inception((), ""), "one or more"),
        (lambda: InceptionModule(5, Inception(((Convolution(8, (3, 3), 4),),), "")), "4 segments of 5"),
    ],
)
def test_what_cannot_be_built_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        wrong()
