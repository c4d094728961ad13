import json

import pytest
import torch

import xseg
from xseg.benchmarks.train_step import StepTimes, forward_floor, measure_train_step
from xseg.cli import main
from xseg.errors import ConfigError
from xseg.lab.budget import count_multiply_adds


def test_the_figures_are_medians_over_turns():
    times = StepTimes(64, 1, 1, ours=(1.0, 2.0, 4.0), peer=(3.0, 4.0, 16.0), floor=0.5)
    assert times.speedup == 3.0
    assert times.over_floor == 4.0


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_floor_is_the_models_operations_at_the_rate_of_one_convolution(monkeypatch, batch_size):
    """With a convolution that takes 2 s for its 8 x 8 x 728 x 728 operations per image."""
    monkeypatch.setattr("xseg.benchmarks.train_step._seconds", lambda _run: 2.0)
    with torch.device("meta"):
        model = xseg.create_model(encoder="xception65", output_stride=16).eval()
        operations = count_multiply_adds(model, torch.empty(batch_size, 3, 128, 128))
    assert forward_floor(128, batch_size) == pytest.approx(2 * operations / (batch_size * 8 * 8 * 728**2))


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
