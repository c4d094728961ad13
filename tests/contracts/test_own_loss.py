"""A loss from a file outside the package, by class path and as an object."""

import csv
import math
from dataclasses import replace

import pytest
import torch
import yaml
from torch import nn

from xseg.cli import main
from xseg.errors import ConfigError, ShapeError
from xseg.training.objective import Objective
from xseg.training.options.recipe import LossOptions

TINY = [
    "--model.encoder", "xception", "--model.width", "0.125", "--model.decoder_channels", "8", "--model.depth", "3",
    "--model.output_stride", "8", "--data.reader", "scenes", "--data.layout.scenes.size", "[33,48]",
    "--data.layout.scenes.counts", "[4,2,2]", "--data.crop", "[33,48]", "--data.batch_size", "2", "--data.workers", "0",
    "--trainer.accelerator", "cpu", "--trainer.max_epochs", "1",
]  # fmt: skip
FILE = '''
import torch
from torch import nn


class Steady(nn.Module):
    """A constant that its buffer makes depend on how often it was called."""

    def __init__(self, ignore_index, classes, gamma=1.0):
        super().__init__()
        self.ignore_index, self.classes, self.gamma = ignore_index, classes, gamma
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, logits, mask):
        assert logits.shape[1] == self.classes and mask.max() <= self.ignore_index
        self.calls += self.training
        return self.gamma * (1 + logits.mean() * 0)


def zero(logits, mask, *, step):
    return logits.sum() * 0 + (5.0 if step is None else 3.0)


def image(logits, mask):
    return logits


def crash(logits, mask):
    return logits[:, 999]


def number(logits, mask):
    return 1.0


def nan(logits, mask):
    return logits.sum() * float("nan")


class Refuses:
    def __init__(self, missing):
        pass
'''


@pytest.fixture
def losses(tmp_path, monkeypatch):
    (tmp_path / "losses.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "losses.py"


def table(run):
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_it_trains_from_the_command_line_and_resumes(losses, tmp_path, capsys, monkeypatch):
    own = "{losses.py:Steady: {weight: 2, gamma: 10}, losses.py:zero: 1}"
    line = ["train", *TINY, "--model.loss.terms", own, "--output_dir", str(tmp_path / "run")]
    assert main(line) == 0
    (row,) = table(tmp_path / "run")
    assert 23 < float(row["train/loss"]) < 23 + 3 * math.log(8), "twice 10, 3, and the cross-entropy"
    assert 25 < float(row["val/loss"]) < 25 + 3 * math.log(8), "no step in validation"
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    assert state["objective.terms.Steady.loss.calls"] == 2
    monkeypatch.chdir(tmp_path.parent)
    again = ["--resume", str(tmp_path / "run" / "last.ckpt"), "--trainer.max_epochs", "2"]
    assert main(["train", "--config", str(tmp_path / "run" / "config.yaml"), *again]) == 0, "from another directory"
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    assert state["objective.terms.Steady.loss.calls"] == 4
    assert [row["epoch"] for row in table(tmp_path / "run")] == ["1", "2"]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ("{losses.py:Missing: 1}", "has no 'Missing'; expected one of"),
        ("{nowhere.py:Loss: 1}", "no file nowhere.py"),
        ("{losses.py:Refuses: 1}", "Refuses: "),
        ("{losses.py:Steady: {weight: 1, delta: 3}}", "'delta'"),
        ("{losses.py:Steady: -1}", "0 or more"),
        ("{losses.py:Steady: much}", "expected a weight"),
        ("{losses.py:image: 1}", "loss image returned a tensor of shape (2, 8, 33, 48); expected a scalar tensor"),
        ("{losses.py:number: 1}", "loss number returned 1.0; expected a scalar tensor"),
        ("{losses.py:crash: 1}", "loss crash raised IndexError for logits (2, 8, 33, 48) and mask (2, 33, 48)"),
        ("{losses.py:nan: 1}", "the loss is nan at step 1 (epoch 1), in nan;"),
    ],
)
def test_a_mistake_is_one_line(losses, tmp_path, capsys, terms, message):
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"model": {"loss": {"terms": yaml.safe_load(terms)}}}))
    assert main(["train", *TINY, "--config", "own.yaml", "--output_dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


class Sum(nn.Module):
    def forward(self, logits, mask):
        return logits.sum() + 0 * mask.sum()


def test_an_object_a_class_or_a_function_is_accepted():
    logits, mask = torch.randn(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.int64)
    for own in (Sum, Sum(), lambda logits, mask: logits.sum() + 0 * mask.sum()):
        objective = Objective(LossOptions(cross_entropy=0, terms={own: 0.5}), classes=3, ignore_index=255)
        assert objective(logits, mask, 0) == 0.5 * logits.sum()


def test_two_losses_of_one_name_and_shapes_that_do_not_fit_are_refused():
    options = LossOptions(terms={Sum: 1.0, Sum(): 1.0})
    with pytest.raises(ConfigError, match="two losses named Sum"):
        Objective(options, classes=3, ignore_index=255)
    objective = Objective(replace(options, terms={}), classes=3, ignore_index=255)
    with pytest.raises(ShapeError, match=r"logits of \(2, 3, 4, 5\) and a mask of \(2, 4, 6\)"):
        objective(torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 6, dtype=torch.int64))
