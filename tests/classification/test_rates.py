"""Who learns how fast, and when."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import xseg
from xseg.classification.options import ClassifierOptions, RateOptions
from xseg.classification.rates import build_optimizer, parameter_groups, rate_factor
from xseg.data.options import ClassDataOptions
from xseg.errors import ConfigError


def factor(step, **changes):
    given = {"steps": 100, "steps_per_epoch": 5.0, "images_per_step": 64}
    own = {name: changes.pop(name) for name in given if name in changes}
    return rate_factor(step, RateOptions(**changes), **{**given, **own})


def test_the_papers_rate_falls_by_094_every_two_epochs_and_not_between():
    factors = [factor(step) for step in range(31)]
    assert factors == pytest.approx([0.94 ** (step // 10) for step in range(31)])


def test_the_rate_of_jft_falls_by_09_every_three_million_images():
    changes = {"decay": 0.9, "decay_samples": 3_000_000, "images_per_step": 100_000}
    assert [factor(step, **changes) for step in (29, 30, 59, 60)] == pytest.approx([1, 0.9, 0.9, 0.81])


def test_poly_ends_at_nothing_but_wastes_no_step():
    assert factor(0, schedule="poly") == 1
    assert factor(50, schedule="poly", power=1.0) == pytest.approx(0.5)
    assert factor(99, schedule="poly") > 0
    assert factor(100, schedule="poly") == 0


def test_a_warm_up_rises_and_changes_no_later_step():
    plain = [factor(step, schedule="constant") for step in range(9)]
    risen = [factor(step, schedule="constant", warmup_steps=4) for step in range(9)]
    assert risen[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert risen[4:] == plain[4:] == [1.0] * 5


@pytest.fixture(scope="module")
def model():
    with torch.device("meta"):
        return xseg.create_classifier(width=0.125, classes=3, fully_connected=(8,))


def test_every_parameter_is_in_exactly_one_group(model):
    groups = parameter_groups(model, RateOptions(encoder_lr=0.1))
    members = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(members) == sorted(id(parameter) for parameter in model.parameters())


def test_the_encoder_has_its_own_rate_and_only_dense_kernels_decay(model):
    groups = {group["name"]: group for group in parameter_groups(model, RateOptions(encoder_lr=0.1, weight_decay=0.2))}
    assert {name: (group["lr"], group["weight_decay"]) for name, group in groups.items()} == {
        "encoder": (0.1, 0.2),
        "encoder/without_decay": (0.1, 0.0),
        "head": (0.045, 0.2),
        "head/without_decay": (0.045, 0.0),
    }
    decaying = {id(parameter) for name in ("encoder", "head") for parameter in groups[name]["params"]}
    assert id(model.encoder.blocks[0].convs[0].pointwise.weight) in decaying
    assert id(model.encoder.blocks[0].convs[0].depthwise.weight) not in decaying
    assert id(model.head.weight) in decaying
    assert id(model.head.bias) not in decaying
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    assert not decaying & {id(norm.weight) for norm in norms}


@pytest.mark.parametrize(
    ("name", "expected"), [("sgd", torch.optim.SGD), ("rmsprop", torch.optim.RMSprop), ("adamw", torch.optim.AdamW)]
)
def test_the_optimisers_are_those_of_the_names(name, expected):
    optimizer = build_optimizer(xseg.create_classifier(width=0.125, classes=2), RateOptions(optimizer=name, lr=0.01))
    assert isinstance(optimizer, expected)
    if name != "adamw":
        assert optimizer.param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (RateOptions, {"lr": -1.0}),
        (RateOptions, {"momentum": 1.0}),
        (RateOptions, {"decay": 0.0}),
        (RateOptions, {"decay_epochs": 0.0}),
        (RateOptions, {"decay_samples": 0}),
        (RateOptions, {"weight_decay": -1.0}),
        (ClassifierOptions, {"ema_decay": 1.0}),
        (ClassifierOptions, {"label_smoothing": 1.0}),
        (ClassifierOptions, {"dropout": 1.0}),
        (ClassifierOptions, {"batch_norm_momentum": 0.0}),
        (ClassifierOptions, {"width": 0.0}),
        (ClassDataOptions, {"size": 32}),
        (ClassDataOptions, {"resize": 200}),
        (ClassDataOptions, {"scale": (0.5, 2.0)}),
        (ClassDataOptions, {"ratio": (2.0, 1.0)}),
        (ClassDataOptions, {"val_share": 1.0}),
        (ClassDataOptions, {"flip": 2.0}),
        (ClassDataOptions, {"batch_size": 0}),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused_by_name(options, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong)) if "lr" not in wrong else "learning rates"):
        options(**wrong)
