import dataclasses
import inspect
import subprocess
import sys

import pytest

from xseg.errors import ConfigError
from xseg.factory import create_model
from xseg.training.options.recipe import LossOptions, OptimizerOptions, ScheduleOptions
from xseg.training.options.run import RunOptions
from xseg.training.options.task import ClassifierOptions, TaskOptions

OPTIONS = [TaskOptions, ClassifierOptions, RunOptions, OptimizerOptions, ScheduleOptions, LossOptions]


@pytest.mark.parametrize("options", OPTIONS)
def test_every_option_is_explained(options):
    documented = "".join(inspect.getdoc(kind) for kind in options.__mro__)
    for field in dataclasses.fields(options):
        assert f"{field.name}: " in documented


def test_every_choice_of_a_model_can_be_made_but_those_of_the_data():
    ours = {field.name for field in dataclasses.fields(TaskOptions)}
    models = set(inspect.signature(create_model).parameters)
    assert models - ours == {"classes", "in_channels"}


@pytest.mark.parametrize(
    "make",
    [
        lambda: OptimizerOptions(lr=-1.0),
        lambda: OptimizerOptions(lr=0.0),
        lambda: OptimizerOptions(encoder_lr=-1e-3),
        lambda: OptimizerOptions(weight_decay=-1e-4),
        lambda: OptimizerOptions(momentum=1.0),
        lambda: ScheduleOptions(power=-1.0),
        lambda: ScheduleOptions(warmup_steps=-1),
        lambda: OptimizerOptions(decoder_multiplier=-1.0),
        lambda: OptimizerOptions(bias_multiplier=-2.0),
        lambda: OptimizerOptions(layer_decay=1.5),
        lambda: OptimizerOptions(reference_batch=0),
        lambda: ScheduleOptions(warmup_lr=0.0),
        lambda: LossOptions(label_smoothing=1.0),
        lambda: LossOptions(cross_entropy=0.0),
        lambda: LossOptions(dice=-1.0),
        lambda: LossOptions(hard_pixels=0.0),
        lambda: LossOptions(hard_pixel_steps=100),
        lambda: LossOptions(cross_entropy=0.0, dice=1.0, hard_pixels=0.5),
        lambda: LossOptions(tversky_alpha=0.0, tversky_beta=0.0),
        lambda: RunOptions(checkpoint_steps=-1),
        lambda: RunOptions(process_timeout=0.0),
        lambda: RunOptions(memory_gb=0.0),
        lambda: TaskOptions(atrous_rates=(6, 12)),
        lambda: TaskOptions(freeze_encoder_epochs=-1),
        lambda: TaskOptions(compile=True, loss=LossOptions(auxiliary=0.4)),
        lambda: TaskOptions(ema_decay=1.0),
        lambda: TaskOptions(batch_norm_momentum=0.0),
        lambda: TaskOptions(depth=6),
        lambda: TaskOptions(width=0.0),
    ],
)
def test_values_out_of_range_are_refused_in_one_line(make):
    with pytest.raises(ConfigError, match="expected") as error:
        make()
    assert "\n" not in str(error.value)


def test_an_aspp_may_have_three_atrous_branches_or_none():
    for rates in (None, (), (1, 2, 3)):
        model = create_model(encoder="xception", width=0.125, decoder_channels=8, atrous_rates=rates)
        assert TaskOptions(atrous_rates=rates).atrous_rates == model.config.atrous_rates


def test_options_import_no_torch():
    modules = "xseg.training.options.task, xseg.training.options.run, xseg.training.checkpoints.run_directory"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
