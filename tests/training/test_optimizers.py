import pytest
import torch
from torch import nn

from xseg.factory import create_model
from xseg.training.optimizers import build_optimizer, parameter_groups
from xseg.training.options import OptimizerOptions

OPTIONS = OptimizerOptions(lr=0.1, encoder_lr=0.01, weight_decay=0.001)


@pytest.fixture(scope="module", params=["deeplabv3plus", "unet"])
def model(request):
    return create_model(request.param, encoder="xception", classes=3, width=0.125, decoder_channels=16)


def test_every_trainable_parameter_is_in_exactly_one_group(model):
    groups = parameter_groups(model, OPTIONS)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())
    assert all(group["params"] for group in groups)


def test_frozen_parameters_are_in_none(model):
    model.segmentation_head.requires_grad_(False)
    grouped = {id(parameter) for group in parameter_groups(model, OPTIONS) for parameter in group["params"]}
    assert not grouped & {id(parameter) for parameter in model.segmentation_head.parameters()}
    model.segmentation_head.requires_grad_(True)


def test_only_dense_kernels_decay(model):
    decay = {id(p): group["weight_decay"] for group in parameter_groups(model, OPTIONS) for p in group["params"]}
    seen = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            dense = isinstance(module, nn.Conv2d) and name == "weight" and module.groups == 1
            assert decay[id(parameter)] == (0.001 if dense else 0.0), (type(module), name)
            seen.add((type(module).__name__, name, dense))
    assert len({kind for *_, kind in seen}) == 2


def test_the_encoder_has_its_own_rate_or_the_same(model):
    encoder = {id(parameter) for parameter in model.encoder.parameters()}
    for options, expected in ((OPTIONS, 0.01), (OptimizerOptions(lr=0.1), 0.1)):
        for group in parameter_groups(model, options):
            for parameter in group["params"]:
                assert group["lr"] == (expected if id(parameter) in encoder else 0.1)


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_the_optimizer_is_the_one_asked_for(model, name, kind):
    optimizer = build_optimizer(model, OptimizerOptions(name=name, momentum=0.8))
    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert group.get("momentum", group.get("betas", (None,))[0]) == 0.8
