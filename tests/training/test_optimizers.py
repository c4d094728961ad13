import pytest
import torch
from torch import nn

from xseg.errors import ConfigError
from xseg.factory import create_model
from xseg.training.objective import AuxiliaryHead
from xseg.training.optimizers import build_optimizer, build_schedule, parameter_groups
from xseg.training.options.recipe import OptimizerOptions, ScheduleOptions

OPTIONS = OptimizerOptions(lr=0.1, encoder_lr=0.01, weight_decay=0.001)


@pytest.fixture(scope="module", params=["deeplabv3plus", "unet"])
def model(request):
    return create_model(request.param, encoder="xception", classes=3, width=0.125, decoder_channels=16)


def rates(model, options, **more):
    return {id(p): group["lr"] for group in parameter_groups(model, options, **more) for p in group["params"]}


@pytest.mark.parametrize("options", [OPTIONS, OptimizerOptions(layer_decay=0.5, bias_multiplier=2)])
def test_every_trainable_parameter_is_in_exactly_one_group(model, options):
    groups = parameter_groups(model, options)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())
    assert all(group["params"] for group in groups)
    assert len({group["name"] for group in groups}) == len(groups)


def test_an_auxiliary_head_learns_too(model):
    head = AuxiliaryHead(model)
    found = rates(model, OPTIONS, auxiliary=head)
    assert {found[id(parameter)] for parameter in head.parameters()} == {0.1}


def test_frozen_parameters_are_in_none(model):
    model.segmentation_head.requires_grad_(False)
    grouped = rates(model, OPTIONS)
    assert not set(grouped) & {id(parameter) for parameter in model.segmentation_head.parameters()}
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
        for parameter, rate in rates(model, options).items():
            assert rate == (expected if parameter in encoder else 0.1)


def test_every_multiplier_multiplies_its_part_and_the_scale_all(model):
    options = OptimizerOptions(
        lr=1.0, encoder_lr=0.5, decoder_multiplier=3.0, last_layer_multiplier=10.0, bias_multiplier=2.0
    )
    found, convolution = rates(model, options, scale=7.0), model.segmentation_head
    convolution = convolution if isinstance(convolution, nn.Conv2d) else convolution[0]
    assert found[id(convolution.weight)] == pytest.approx(70)
    assert found[id(convolution.bias)] == pytest.approx(140)
    for part, rate in ((model.encoder, 3.5), (model.decoder, 21)):
        norms = [layer for layer in part.modules() if isinstance(layer, nn.BatchNorm2d)]
        assert {found[id(p)] for layer in norms for p in layer.parameters()} == {rate}, "a shift is no bias"


def test_the_rate_falls_from_the_encoders_last_block_to_its_stem(model):
    found = rates(model, OptimizerOptions(lr=1.0, layer_decay=0.5))
    blocks = [model.encoder.stem, *model.encoder.blocks]
    for depth, block in enumerate(reversed(blocks)):
        assert {found[id(parameter)] for parameter in block.parameters()} == {0.5**depth}
    assert {found[id(parameter)] for parameter in model.decoder.parameters()} == {1.0}


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD), ("rmsprop", torch.optim.RMSprop)]
)
def test_the_optimizer_is_the_one_asked_for(model, name, kind):
    optimizer = build_optimizer(model, OptimizerOptions(name=name, momentum=0.8))
    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert group.get("momentum", group.get("betas", (None,))[0]) == 0.8


OUTSIDE = """
import torch

class Doubled(torch.optim.SGD):
    def __init__(self, params, lr, factor=2.0):
        super().__init__(params, lr=lr)
        for group in self.param_groups:
            group["lr"] *= factor

class Halving(torch.optim.lr_scheduler.StepLR):
    pass
"""


def test_an_optimizer_and_a_schedule_from_a_file_come_by_class_path(model, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(OUTSIDE)
    optimizer = build_optimizer(model, OptimizerOptions(name=f"{file}:Doubled", lr=0.1, options={"factor": 3.0}))
    assert type(optimizer).__name__ == "Doubled"
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.3] * len(optimizer.param_groups))
    options = ScheduleOptions(name=f"{file}:Halving", options={"step_size": "steps", "gamma": 0.5})
    schedule = build_schedule(optimizer, options, steps=2)
    for _ in range(2):
        optimizer.step()
        schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.15] * len(optimizer.param_groups))


def test_options_override_the_arguments_of_a_name(model):
    optimizer = build_optimizer(model, OptimizerOptions(name="rmsprop", options={"eps": 1.0}))
    assert {(group["eps"], group["alpha"]) for group in optimizer.param_groups} == {(1.0, 0.9)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "torch.optim.Nope"}, "has no 'Nope'"),
        ({"name": "torch.nn.Linear"}, "expected a subclass of torch's Optimizer"),
        ({"name": "torch.optim.NAdam", "options": {"size": 3}}, r"size.*change optimizer.options"),
    ],
)
def test_a_wrong_class_path_is_one_line(model, options, message):
    with pytest.raises(ConfigError, match=message) as error:
        build_optimizer(model, OptimizerOptions(**options))
    assert "\n" not in str(error.value)
