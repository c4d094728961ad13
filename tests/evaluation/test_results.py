from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from xseg.evaluation.evaluate import evaluate
from xseg.evaluation.results import write_metrics, write_per_image


@pytest.fixture
def evaluation(predictor, reader):
    for name, sample in reader.samples.items():  # no tree is labelled or predicted
        mask = np.where(sample.mask == 2, 0, sample.mask)
        reader.samples[name] = replace(sample, image=sample.image * np.array([1, 1, 0], np.uint8), mask=mask)
    return evaluate(predictor, reader, "val")


def test_the_metrics_are_json_of_fractions_with_null_for_what_has_no_meaning(evaluation, tmp_path):
    values = json.loads(write_metrics(evaluation, tmp_path / "new" / "metrics.json").read_text("utf-8"))
    overall = {"miou", "mean_accuracy", "mean_dice", "pixel_accuracy", "fwiou", "boundary_iou"}
    assert set(values) == {*overall, "classes", "confusion"}
    assert list(values["classes"]) == ["road", "<b>sky & sea</b>", "tree"]
    assert values["classes"]["tree"] == {
        "iou": None,
        "specificity": None,
        "dice": None,
        "precision": None,
        "recall": None,
        "f1": None,
        "boundary_iou": None,
        "pixels": 0,
    }
    assert values["miou"] == evaluation.scores.overall["miou"]
    assert 0 < values["miou"] < 1
    assert values["confusion"] == [list(row) for row in evaluation.scores.confusion]


def test_the_table_has_a_row_per_image_and_a_column_per_class(evaluation, tmp_path):
    with write_per_image(evaluation, tmp_path / "per_image.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [image.name for image in evaluation.images]
    for row, image in zip(rows, evaluation.images, strict=True):
        assert float(row["miou"]) == pytest.approx(image.miou, abs=1e-6)
        assert float(row["iou/<b>sky & sea</b>"]) == pytest.approx(image.iou[1], abs=1e-6)
        assert row["iou/tree"] == "", "left out, not 0 or nan"
