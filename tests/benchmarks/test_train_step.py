import json

import pytest
import torch

from xseg.benchmarks.train_step import StepTimes, forward_floor, measure_train_step
from xseg.cli import main
from xseg.errors import ConfigError


def test_the_figures_are_medians_over_turns():
    times = StepTimes(64, 1, 1, ours=(1.0, 2.0, 4.0), peer=(3.0, 4.0, 16.0), floor=0.5)
    assert times.speedup == 3.0
    assert times.over_floor == 4.0


def test_the_floor_grows_with_the_operations():
    """Four times the pixels and the same rate: about four times the time, however much the machine is disturbed."""
    torch.manual_seed(0)
    assert 1.5 < forward_floor(256, 1) / forward_floor(128, 1) < 12


@pytest.mark.parametrize("changes", [{"size": 100}, {"size": 32}, {"rounds": 0}, {"batch_size": 0}])
def test_numbers_out_of_range_are_refused(changes):
    with pytest.raises(ConfigError, match="expected a size"):
        measure_train_step(**changes)


@pytest.mark.slow
def test_both_are_measured_and_told(tmp_path, capsys):
    output = tmp_path / "step.json"
    arguments = ["--size", "64", "--batch_size", "2", "--rounds", "1", "--output", str(output)]
    assert main(["benchmark", "train_step", *arguments]) == 0
    told, written = capsys.readouterr().out, json.loads(output.read_text())
    assert "times as fast as SMP" in told
    assert written["speedup"] == pytest.approx(written["peer"][0] / written["ours"][0])
    assert written["over_floor"] > 0


def test_the_verb_lists_its_studies_and_refuses_others(capsys):
    assert main(["benchmark", "--help"]) == 0
    assert "train_step" in capsys.readouterr().out
    assert main(["benchmark", "trainstep"]) == 2
    assert "did you mean train_step?" in capsys.readouterr().err
