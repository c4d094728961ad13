"""Who learns how fast in a classifier, and what its options refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import xseg
from xseg.data.options import ClassDataOptions
from xseg.errors import ConfigError
from xseg.training.optimizers import build_optimizer, parameter_groups
from xseg.training.options.recipe import OptimizerOptions, ScheduleOptions
from xseg.training.options.task import ClassifierOptions


def test_the_defaults_are_the_papers_on_imagenet():
    """Chollet 2017, section 4.3."""
    options = ClassifierOptions()
    optimizer, schedule = options.optimizer, options.schedule
    assert (optimizer.name, optimizer.lr, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.045, 0.9, 1e-5)
    assert (schedule.name, schedule.decay, schedule.decay_epochs) == ("exponential", 0.94, 2)
    assert (options.dropout, options.ema_decay, options.batch_norm) == (0.5, 0.9999, "train")


@pytest.fixture(scope="module")
def model():
    with torch.device("meta"):
        return xseg.create_classifier(width=0.125, classes=3, fully_connected=(8,))


def test_every_parameter_is_in_exactly_one_group(model):
    groups = parameter_groups(model, OptimizerOptions(encoder_lr=0.1))
    members = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(members) == sorted(id(parameter) for parameter in model.parameters())


def test_the_encoder_has_its_own_rate_and_only_dense_kernels_decay(model):
    groups = {
        group["name"]: group
        for group in parameter_groups(model, OptimizerOptions(lr=0.045, encoder_lr=0.1, weight_decay=0.2))
    }
    assert {name: (group["lr"], group["weight_decay"]) for name, group in groups.items()} == {
        "encoder": (0.1, 0.2),
        "encoder/without_decay": (0.1, 0.0),
        "last": (0.045, 0.2),
        "last/bias": (0.045, 0.0),
    }
    decaying = {id(parameter) for name in ("encoder", "last") for parameter in groups[name]["params"]}
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
    optimizer = build_optimizer(xseg.create_classifier(width=0.125, classes=2), OptimizerOptions(name=name, lr=0.01))
    assert isinstance(optimizer, expected)
    if name != "adamw":
        assert optimizer.param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (OptimizerOptions, {"lr": -1.0}),
        (OptimizerOptions, {"momentum": 1.0}),
        (ScheduleOptions, {"decay": 0.0}),
        (ScheduleOptions, {"decay_epochs": 0.0}),
        (ScheduleOptions, {"decay_samples": 0}),
        (OptimizerOptions, {"weight_decay": -1.0}),
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
