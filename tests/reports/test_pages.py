from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import jinja2
import numpy as np
import pytest
from PIL import Image

import xseg.reports
from xseg.reports.pages import confusion_cells, format_count, format_percent, format_score, jpeg_address, render_page

TEMPLATES = Path(xseg.reports.__file__).parent / "templates"
PARTS = {"base.html", "parts.html", "diagram.html"}


def decoded(address):
    return Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (5, "RGB")])
def test_a_picture_of_any_number_of_channels_stands_in_the_page(channels, mode):
    picture = np.full((40, 60, channels), 128, np.uint8)
    shown = decoded(jpeg_address(picture))
    assert (shown.mode, shown.size) == (mode, (60, 40))
    assert np.abs(np.asarray(shown).astype(int) - 128).max() <= 2


def test_a_large_picture_is_made_smaller_and_a_small_one_is_left():
    picture = np.zeros((40, 60, 3), np.uint8)
    assert decoded(jpeg_address(picture, 30)).size == (30, 20)
    assert decoded(jpeg_address(picture, 100)).size == (60, 40)


def test_every_page_extends_the_one_base_and_has_no_style_of_its_own():
    pages = [file for file in TEMPLATES.glob("*.html") if file.name not in PARTS]
    assert len(pages) == 6
    for page in pages:
        text = page.read_text("utf-8")
        assert text.startswith('{% extends "base.html" %}\n'), page.name
        assert "<style" not in text


def test_every_class_name_in_the_style_is_used_by_a_template_and_the_other_way_round():
    style = (TEMPLATES / "style.css").read_text("utf-8")
    styled = {
        name for selector in re.findall(r"([^{};]+)\{", style) for name in re.findall(r"\.([a-z][\w-]*)", selector)
    }
    text = "".join(file.read_text("utf-8") for file in TEMPLATES.glob("*.html"))
    classes = [
        re.sub(r"\{\{.*?\}\}", lambda m: " ".join(re.findall(r"[\"'](\w+)[\"']", m[0])), raw)
        for raw in re.findall(r'class="((?:\{\{.*?\}\}|[^"])*)"', text)
    ]
    used = {name for names in classes for name in names.split()}
    assert styled == used - {"numbered"}


def test_a_value_that_a_template_lacks_is_an_error_and_text_is_escaped():
    with pytest.raises(jinja2.UndefinedError):
        render_page("preview.html", {"title": "x"})
    values = {"title": "<b>", "summary": {"a": "<i>"}, "classes": [], "present": set(), "sections": []}
    page = render_page("preview.html", values)
    assert "<h1>&lt;b&gt;</h1>" in page
    assert "<dd>&lt;i&gt;</dd>" in page


def test_numbers_for_people():
    assert [format_score(value) for value in (None, 0.12345)] == ["–", "0.123"]
    assert [format_percent(value) for value in (None, 0.12345)] == ["–", "12.3 %"]
    assert format_count(1234567) == "1\u202f234\u202f567"


def test_the_confusion_matrix_shows_shares_of_the_labelled_pixels():
    cells = confusion_cells(((3, 1, 0), (0, 0, 0), (0, 1, 999)), ("a", "b", "c"), "pixels")
    assert [[cell.percent for cell in row] for row in cells] == [["75", "25", ""], ["", "", ""], ["", "", "100"]]
    assert cells[0][1].share == 0.25
    assert cells[0][1].hint == "a predicted as b: 25.0 % (1 pixels)"
    assert [[cell.count for cell in row] for row in cells] == [[3, 1, 0], [0, 0, 0], [0, 1, 999]]
    assert [cell.share for cell in cells[1]] == [None, None, None]
    assert [cell.diagonal for cell in cells[2]] == [False, False, True]
