from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from xseg.benchmarks.prediction import Comparison
from xseg.bundles.bundle import Bundle, save_bundle
from xseg.cli import benchmark
from xseg.errors import ConfigError
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.models.build import build_model
from xseg.models.config import ModelConfig


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    network = build_model(ModelConfig(encoder="xception", classes=3, width=0.125, depth=3, decoder_channels=16))
    return save_bundle(Bundle(network.eval(), LabelMap(("a", "b", "c")), Normalization()), tmp_path / "bundle")


def test_the_ratio_is_the_median_of_the_rounds():
    comparison = Comparison("x", ours=(4.0, 9.0, 2.0), other=(2.0, 3.0, 2.0), details="")
    assert comparison.ratio == 2.0


def test_a_whole_run_is_compared_with_the_bare_model(model, tmp_path, capsys):
    for index in range(2):
        Image.fromarray(np.full((48, 64, 3), 90 * index, np.uint8)).save(tmp_path / f"{index}.png")
    output = tmp_path / "speed.json"
    options = ["--images", "3", "--rounds", "1", "--peer_size", "0", "--backend", "torch", "--output", str(output)]
    assert benchmark.predict([str(model), str(tmp_path / "*.png"), *options]) == 0
    assert "complete run / bare model: " in capsys.readouterr().out
    (result,) = json.loads(output.read_text())
    assert result["ratio"] == pytest.approx(result["ours"][0] / result["other"][0])
    assert "3 files of 48x64" in result["details"]


@pytest.mark.slow
def test_smp_is_run_beside_it(tmp_path):
    from xseg.benchmarks.prediction import against_smp, resized
    from xseg.inference.options import InferenceOptions

    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "a.png")
    with resized([tmp_path / "a.png"], 64) as copies:
        comparison = against_smp(copies, InferenceOptions(device="cpu"), rounds=1)
    assert comparison.ratio > 0
    assert not copies[0].exists()


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ConfigError, match="peer_size=100; expected a multiple of 16, or 0"):
        benchmark.SpeedOptions(peer_size=100)
    with pytest.raises(ConfigError, match="images=0"):
        benchmark.SpeedOptions(images=0)
