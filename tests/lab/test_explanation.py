"""The page on the modules: drawn and counted from the tables."""

from __future__ import annotations

import re

import pytest

from xseg.cli import lab
from xseg.encoders.variants import encoder_spec, list_encoders
from xseg.lab.explanation import CHANNELS, MODULES, classifier_counts, knobs
from xseg.nn.inception import Convolution
from xseg.reports.diagram import draw_encoder, draw_inception


def texts(diagram):
    return [box.text for box in diagram.boxes]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.title)
def test_every_operation_of_a_module_is_drawn_and_joined(module):
    diagram = draw_inception(module.table)
    plain = [
        operation
        for tower in module.table.towers
        for operation in tower
        if not (isinstance(operation, Convolution) and operation.segments > 1)
    ]
    drawn = [box for box in diagram.boxes if box.kind != "join"]
    assert len(drawn) >= len(plain)
    for box in drawn:  # a line comes from below and a line leaves above
        assert [arrow for arrow in diagram.arrows if abs(arrow.points[-1][0] - (box.x + box.width / 2)) < 1]
        inside = [arrow.points[0] for arrow in diagram.arrows if arrow.points[0][1] == box.y]
        assert [x for x, _ in inside if box.x <= x <= box.x + box.width]
    assert all(box.x >= 0 and box.x + box.width <= diagram.width + 1e-6 for box in diagram.boxes)
    assert max(box.y + box.height for box in diagram.boxes) == diagram.height


def test_towers_stand_side_by_side():
    boxes = [box for box in draw_inception(MODULES[3].table).boxes if box.kind != "join"]
    for one in boxes:
        for other in boxes:
            apart = abs(one.x - other.x) >= one.width or abs(one.y - other.y) >= one.height
            assert one is other or apart


def test_segments_beyond_a_few_are_told_by_number():
    extreme = next(module for module in MODULES if module.title == "Extreme")
    assert texts(draw_inception(extreme.table))[-1] == f"… {CHANNELS} in all"


@pytest.mark.parametrize("name", list_encoders())
def test_an_encoder_is_drawn_with_all_its_flows(name):
    spec = encoder_spec(name)
    diagram = draw_encoder(spec)
    separable = sum(text.count("separable") for text in texts(diagram))
    repeats = [int(note.text[2:]) for note in diagram.notes if note.text.startswith("×")]
    assert max(repeats) == max(8, len(spec.stages) - 5 - (name.endswith("71") * 2))
    assert separable < sum(len(stage.widths) for stage in spec.stages)
    assert {"entry flow", "middle flow", "exit flow"} <= {note.text for note in diagram.notes}
    assert texts(diagram).count("728 channels, stride 16") == 4


def test_xceptions_strides_are_in_its_drawing():
    drawn = texts(draw_encoder(encoder_spec("xception")))
    assert drawn.count("max pool 3×3, stride 2") == 4
    aligned = texts(draw_encoder(encoder_spec("xception65")))
    assert sum("stride 2" in text for text in aligned if "separable" in text) == 4


def test_turning_the_knob_leads_from_a_full_convolution_to_a_separable_one():
    found = knobs()
    assert [knob.parameters for knob in found] == [
        9 * CHANNELS * CHANNELS // knob.segments + CHANNELS * CHANNELS for knob in found
    ]
    assert found[0].name == "full convolution"
    assert found[-1].multiply_adds == found[-1].parameters * 35 * 35


def test_the_classifier_counts_what_the_paper_says():
    assert classifier_counts()["parameters"] == "22,855,952"  # Chollet 2017, Table 3


def test_the_page_shows_every_module_and_every_study(tmp_path, capsys):
    assert lab.main(["explain", "--output_dir", str(tmp_path)]) == 0
    page = (tmp_path / "explain.html").read_text(encoding="utf-8")
    assert page.count("<svg viewBox") == len(MODULES) + 1
    assert all(module.title in page for module in MODULES)
    assert not re.search(r"(src|href)=", page), "the page needs no other file"
    assert str(tmp_path / "explain.html") in capsys.readouterr().out
