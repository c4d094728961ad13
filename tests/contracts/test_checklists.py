"""CONTRIBUTING's checklists, followed with throw-away examples: a check, an origin of weights and a study."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from xseg.cli import main
from xseg.data.generated.scenes import write_scenes
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.doctor import table
from xseg.doctor.examination import examine, list_splits
from xseg.doctor.finding import report
from xseg.encoders.variants import KERAS_NORM, encoder_spec
from xseg.encoders.xception import XceptionEncoder
from xseg.lab.budget import solve
from xseg.lab.studies import STUDIES, Study, Variant
from xseg.nn.ablation import Ablation
from xseg.weights.convert import convert
from xseg.weights.formats.source import Source
from xseg.weights.origins import registry
from xseg.weights.origins.registry import Origin, Plan
from xseg.weights.origins.rules import Rule


def test_the_checklists_are_all_there():
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    topics = (
        "encoder, architecture, export format, output of predict, loss, metric, data set layout, check of the doctor"
    )
    wanted = {*topics.split(", "), "origin of weights", "study of the lab"}
    assert set(re.findall(r"^## A new (.*)$", text, re.MULTILINE)) == wanted


def landscape(summary):
    """Find images that are wider than high."""
    for split, found in summary.splits.items():
        wide = [(pair, image) for pair, image in found.images() if image.size[1] > image.size[0]]
        places = ((pair.image_path, f"{image.size[0]}x{image.size[1]}") for pair, image in wide)
        yield from report("landscape-images", "note", split, "images wider than high", "nothing to do", places)


def test_a_check_is_a_function_and_a_line(tmp_path, monkeypatch):
    write_scenes(tmp_path, counts=(2, 1, 0), size=(32, 48))
    options = DataOptions(reader="folder", root=str(tmp_path))
    reader = create_reader(options)
    summary = examine(reader, options, list_splits(reader)).summary
    monkeypatch.setattr(table, "CHECKS", (*table.CHECKS, landscape))
    findings = [finding for finding in table.run_checks(summary, table.CHECKS) if finding.check == "landscape-images"]
    assert {finding.split: finding.count for finding in findings} == {"train": 2, "val": 1}
    assert findings[0].places[0].detail == "32x48"


def test_an_origin_is_a_table_of_rules_and_a_line(monkeypatch):
    torch.manual_seed(0)
    state = {f"encoder.{name}": value for name, value in XceptionEncoder(encoder_spec("xception")).state_dict().items()}
    theirs = {"zoo/" + name.replace(".", "/"): value for name, value in state.items()}
    rules = [Rule(re.escape("zoo/" + name.replace(".", "/")), name) for name in state]
    origin = Origin("zoo", (r"zoo/encoder/stem/.*",), lambda _: Plan("zoo", "xception", rules, KERAS_NORM))
    monkeypatch.setattr(registry, "ORIGINS", (*registry.ORIGINS, origin))
    conversion = convert(Source("zoo.npz", theirs))
    assert conversion.plan.origin == "zoo"
    converted = conversion.encoder_state()
    assert len(converted) > 200
    assert all(
        torch.equal(value, state[f"encoder.{name.removeprefix('encoder.')}"]) for name, value in converted.items()
    )


def test_a_study_is_an_entry_of_the_table(monkeypatch, capsys):
    variants = (Variant("Xception"), Variant("2 segments", Ablation(segments=2)))
    monkeypatch.setitem(STUDIES, "halves", Study("halves", "Halves", "Do halves do?", "Not in the paper.", variants))
    networks = solve(STUDIES["halves"], width=0.125, classes=4, dropout=0.0, size=33)
    assert abs(networks[1].parameters / networks[0].parameters - 1) < 0.05
    assert main(["lab", "halvs"]) == 2
    assert "did you mean halves?" in capsys.readouterr().err
