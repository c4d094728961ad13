"""The systems that the paper compares with."""

from __future__ import annotations

import csv
import json

import pytest
import torch
from torch import nn

from xseg.benchmarks.systems import (
    SYSTEMS,
    Published,
    System,
    measure_systems,
    papers_inception_v3,
    steps_per_second,
    table_lines,
    write_systems,
)
from xseg.cli import benchmark
from xseg.errors import ConfigError


@pytest.fixture(scope="module")
def counted():
    return {row.name: row for row in measure_systems(steps=0)}


def test_xception_and_inception_have_the_papers_parameters(counted):
    """Chollet 2017, Table 3."""
    for name in ("Xception", "Inception V3, as in the paper"):
        assert counted[name].parameters == counted[name].published_parameters
    assert counted["Inception V3"].parameters == 23_834_568


def test_the_difference_between_the_inceptions_is_the_one_that_is_told():
    with torch.device("meta"):
        paper, torchvision = (
            papers_inception_v3(),
            next(each for each in SYSTEMS if each.name == "Inception V3").build(),
        )

    def count(model, kind):
        return sum(
            parameter.numel()
            for part in model.modules()
            if isinstance(part, nn.Conv2d | nn.BatchNorm2d)
            for name, parameter in part.named_parameters(recurse=False)
            if (type(part).__name__, name) == kind
        )

    weights, scales, biases = ("Conv2d", "weight"), ("BatchNorm2d", "weight"), ("Conv2d", "bias")
    assert count(torchvision, weights) - count(paper, weights) == 157_184 + 67_584
    assert count(torchvision, scales) - count(paper, scales) == 64 + 32
    assert (count(paper, biases), count(torchvision, biases)) == (17_120, 0)


def test_the_papers_inception_computes_logits():
    with torch.device("meta"):
        model = papers_inception_v3().eval()
        assert model(torch.empty(1, 3, 299, 299)).shape == (1, 1000)


def test_multiply_adds_are_the_known_ones(counted):
    """torchvision's own documentation: 15.47, 11.51 and 5.71 G."""
    for name, known in (("VGG-16", 15.47e9), ("ResNet-152", 11.51e9), ("Inception V3", 5.71e9)):
        assert counted[name].multiply_adds == pytest.approx(known, rel=0.01)


def test_what_is_published_is_marked_as_published(counted, tmp_path):
    rows = list(counted.values())
    write_systems(rows, tmp_path)
    with (tmp_path / "systems.csv").open(newline="") as file:
        table = {row["name"]: row for row in csv.DictReader(file)}
    assert (table["Xception"]["published_top1"], table["Xception"]["published_top5"]) == ("0.79", "0.945")
    assert table["VGG-16"]["steps_per_second"] == ""
    assert len(json.loads((tmp_path / "systems.json").read_text())) == len(SYSTEMS)
    lines = table_lines(rows)
    assert "published" in lines[0]
    assert any("0.770 / 0.933 (Chollet 2017, Table 1)" in line for line in lines)


def test_speed_is_of_whole_training_steps():
    class Slow(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.calls = nn.Linear(3, 1000), 0

        def forward(self, images):
            self.calls += 1
            return self.layer(images.mean((2, 3)))

    model = Slow()
    before = model.layer.weight.detach().clone()
    system = System("slow", lambda: model, 40, Published(None, None), "here")
    assert steps_per_second(system, batch_size=2, steps=3) > 0
    assert model.calls == 4
    assert not torch.equal(model.layer.weight, before)


def test_the_command_prints_and_writes_the_table(tmp_path, capsys):
    assert benchmark.main(["systems", "--steps", "0", "--output_dir", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert all(system.name in told for system in SYSTEMS)
    assert (tmp_path / "systems.json").is_file()
    with pytest.raises(ConfigError, match="batch_size=0"):
        benchmark.main(["systems", "--batch_size", "0"])
