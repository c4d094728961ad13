from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from xseg.cli.evaluate import print_scores
from xseg.errors import DataError
from xseg.evaluation.evaluate import evaluate
from xseg.inference.options import InferenceOptions
from xseg.inference.predictor import Predictor
from xseg.labels.label_map import LabelMap
from xseg.reports.evaluation import render_report, select_pictures, write_report
from xseg.reports.pages import NUMBERED_CLASSES

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Fails where a tag is not closed in its turn; collects text, attributes and ids."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text, self.attributes = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data.strip())

    def all(self, name):
        return [value for key, value in self.attributes if key == name]


@pytest.fixture
def evaluation(predictor, reader):
    return evaluate(predictor, reader, "val")


@pytest.fixture
def history(tmp_path):
    text = "epoch,lr,train/loss,val/loss,val/miou\n1,0.1,2,2,0.1\n2,0.05,1,1.5,0.3\n"
    (tmp_path / "metrics.csv").write_text(text)
    return tmp_path / "metrics.csv"


@pytest.fixture
def page(evaluation, history, tmp_path):
    write_report(evaluation, tmp_path / "report.html", title="A & B", summary={"Model": "<i>x</i>"}, history=history)
    return Page((tmp_path / "report.html").read_text("utf-8"))


def test_every_tag_is_closed_and_no_id_is_used_twice(page):
    assert page.seen[0] == "html"
    ids = page.all("id")
    assert len(ids) == len(set(ids))


def test_names_are_shown_as_they_are_and_are_no_markup(page):
    assert "b" in page.seen, "the page itself has bold text"
    for name in ("road", "<b>sky & sea</b>", "tree"):
        assert page.text.count(name) == 5, "the table, the matrix's row and column, two legends"
    assert "A & B" in page.text
    assert "<i>x</i>" in page.text


def test_the_page_needs_no_other_file_and_runs_nothing(page):
    assert "script" not in page.seen
    assert "link" not in page.seen
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.all("src"))
    references = [*page.all("href"), *page.all("xlink:href")]
    assert all(reference.startswith("#") for reference in references)
    assert {reference[1:] for reference in references} <= set(page.all("id"))
    assert not [style for style in page.all("style") if re.search(r"url\((?!#)", style)]


def test_the_scores_and_the_curves_are_there(page, evaluation):
    scores = evaluation.scores
    for value in (scores.overall["miou"], scores.overall["boundary_iou"], scores.per_class["precision"][1]):
        assert f"{value:.3f}" in page.text
    assert page.all("aria-label") == ["Loss", "Validation mIoU", "Learning rate"]


def test_two_classes_have_their_outcomes_and_ranking_scores_in_the_report_and_in_the_table(two_classes, capsys):
    evaluation = evaluate(two_classes[1], two_classes[0], "val")
    page = Page(render_report(evaluation, title="x", summary={}))
    print_scores(evaluation)
    printed = capsys.readouterr().out
    for title in ("TP", "FP", "FN", "TN"):
        assert title in page.text
        assert title in printed
    for name in ("auc", "average_precision"):
        assert f"{evaluation.scores.overall[name]:.3f}" in page.text
        assert f"{evaluation.scores.overall[name]:.4f}" in printed
    assert {"AUC", "average precision", "Dice", "Specificity", "Recall"} <= set(page.text)
    for numbers in evaluation.scores.outcomes:
        assert sum(numbers.values()) == sum(evaluation.scores.pixels)
        assert all(f" {number}" in printed for number in numbers.values())


def test_three_pictures_for_each_of_the_best_and_worst(page, evaluation):
    sources = page.all("src")
    assert len(sources) == 3 * (len(evaluation.best) + len(evaluation.worst)) == 21
    decoded = [Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) for source in sources]
    assert {picture.size for picture in decoded} == {(30, 20)}
    shown = np.asarray(decoded[0].convert("L"), np.float64)  # JPEG keeps light and dark of noise, not its colours
    examples = (*evaluation.worst, *evaluation.best)
    grey = [np.asarray(Image.fromarray(example.image).convert("L"), np.float64) for example in examples]
    assert int(np.argmin([np.abs(shown - other).mean() for other in grey])) == 0, "the worst comes first"
    for example in examples:
        assert any(example.score.name in text for text in page.text)


def test_without_curves_or_facts_it_is_a_report_too(evaluation):
    page = Page(render_report(evaluation, title="x", summary={}))
    assert "svg" not in page.seen


def test_many_classes_fit_by_leaving_out_the_numbers(predictor, reader):
    names = tuple(f"class {index}" for index in range(NUMBERED_CLASSES + 1))
    labels = LabelMap(names, ignore_index=255)

    class Wide(nn.Module):
        def forward(self, images):
            rest = torch.full((len(images), len(names) - 3, *images.shape[-2:]), -9.0)
            return torch.cat([images, rest], dim=1)

    reader.labels = labels
    wide = Predictor(
        Wide(), labels=labels, normalization=predictor.normalization, options=InferenceOptions(device="cpu")
    )
    page = Page(render_report(evaluate(wide, reader, "val"), title="x", summary={}))
    assert len(page.all("title")) == len(names) + len(names) ** 2
    assert "class 40" in page.text


def test_a_report_that_fails_leaves_no_file(evaluation, tmp_path):
    with pytest.raises(Exception, match="cannot be read"):
        write_report(evaluation, tmp_path / "report.html", title="x", history=tmp_path / "missing.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("drawn", "shown"), [(0, []), (1, [1]), (3, [1, 2, 3]), (10, [1, 4, 7, 10])])
def test_a_few_pictures_of_a_training_are_chosen_the_first_and_the_last_among_them(tmp_path, drawn, shown):
    for epoch in range(1, drawn + 1):
        (tmp_path / f"epoch_{epoch:04d}.png").touch()
    assert [int(file.stem[-4:]) for file in select_pictures(tmp_path)] == shown


def test_the_pictures_beside_the_history_are_in_the_page(evaluation, history, tmp_path):
    write_report(evaluation, tmp_path / "without.html", title="x", history=history)
    assert "as the model learned" not in (tmp_path / "without.html").read_text()
    (tmp_path / "pictures").mkdir()
    for epoch, red in ((1, 10), (7, 200)):
        Image.new("RGB", (30, 10), (red, 0, 0)).save(tmp_path / "pictures" / f"epoch_{epoch:04d}.png")
    write_report(evaluation, tmp_path / "report.html", title="x", history=history)
    page = Page((tmp_path / "report.html").read_text())
    assert {"epoch 1", "epoch 7"} <= set(page.text)
    (tmp_path / "pictures" / "epoch_0007.png").write_bytes(b"torn")
    with pytest.raises(DataError, match="epoch_0007"):
        write_report(evaluation, tmp_path / "report.html", title="x", history=history)
