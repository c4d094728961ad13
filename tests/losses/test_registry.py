"""A loss is registered by one entry: its options, their help and its place in the sum follow."""

import inspect
import subprocess
import sys

from xseg.files.objects import load_object
from xseg.losses.registry import LOSSES

PROGRAM = """
from xseg.losses.registry import LOSSES, Parameter, RegisteredLoss
parameters = {"slope": Parameter(3.0, "how steep.")}
LOSSES["steep"] = RegisteredLoss("steep_loss.Steep", "weight of it.", parameters=parameters)
from xseg.training.options.recipe import LossOptions
assert "steep: weight of it." in LossOptions.__doc__ and "steep_slope: how steep." in LossOptions.__doc__
import torch
from xseg.training.objective import Objective
logits, mask = torch.ones(1, 2, 3, 4), torch.zeros(1, 3, 4, dtype=torch.int64)
for more, expected in (({}, 6), ({"steep_slope": 5}, 10)):
    options = LossOptions(cross_entropy=0, steep=2, **more)
    assert Objective(options, classes=2, ignore_index=255)(logits, mask) == expected
"""
LOSS = """
class Steep:
    def __init__(self, slope):
        self.slope = slope

    def __call__(self, logits, mask):
        return self.slope * logits.mean()
"""


def test_a_new_loss_is_a_module_and_an_entry(tmp_path):
    (tmp_path / "steep_loss.py").write_text(LOSS)
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_entry_names_a_class_that_takes_its_parameters():
    for loss in LOSSES.values():
        assert set(loss.parameters) <= set(inspect.signature(load_object(loss.path)).parameters)
