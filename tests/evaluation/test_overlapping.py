"""Scores of classes that overlap are those of each class alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from xseg.data.sample import Record, Sample
from xseg.errors import ConfigError
from xseg.evaluation.evaluate import evaluate
from xseg.evaluation.results import write_metrics, write_per_image
from xseg.images.normalization import Normalization
from xseg.inference.options import InferenceOptions
from xseg.inference.predictor import Predictor
from xseg.labels.decision import Decision
from xseg.labels.label_map import LabelMap
from xseg.reports.evaluation import write_report

LABELS = LabelMap(("tumor", "edema", "never"), overlapping=True)


class Channels(nn.Module):
    """Logits are the channels; the third class is never predicted."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([8.0, 8.0, 0.0])[:, None, None])

    def forward(self, images):
        return images * self.weight - torch.tensor([0.0, 0.0, 20.0])[:, None, None]


class Reader:
    """Images whose bright channels are the classes, with wrong and ignored pixels, an empty image, an ignored band."""

    labels, channels = LABELS, 3

    def __init__(self):
        generator = np.random.default_rng(0)
        self.samples = {}
        for index in range(5):
            image = generator.integers(0, 256, (20, 600, 3), np.uint8)
            mask = (image > 127).astype(np.uint8)
            mask[generator.random(mask.shape) < 0.1 * index] ^= 1
            mask[generator.random(mask.shape) < 0.1] = 255
            mask[..., 2] = np.where(mask[..., 2] == 1, 0, mask[..., 2])
            self.samples[f"{index}"] = Sample(f"{index}", image, mask)
        self.samples["3"].mask[...] = 0
        self.samples["3"].image[...] = 0
        self.samples["4"].mask[..., 0] = 255

    def records(self, _split):
        return tuple(Record(name, Path(name), Path(name)) for name in self.samples)

    def read(self, record):
        return self.samples[record.name]


@pytest.fixture
def reader():
    return Reader()


def predictor(labels=LABELS, **options):
    return Predictor(
        Channels(), labels=labels, normalization=Normalization(), options=InferenceOptions(device="cpu", **options)
    )


def outcomes(reader, names, index, threshold=0.5):
    """Count one class pixel by pixel."""
    found = dict.fromkeys(("tp", "fp", "fn", "tn"), 0)
    for name in names:
        image, mask = reader.samples[name].image, reader.samples[name].mask[..., index]
        logits = 8 * (image[..., index] / 127.5 - 1)
        predicted = (1 / (1 + np.exp(-logits)) >= threshold) & (index < 2)
        known = mask != 255
        found["tp"] += int((predicted & (mask == 1) & known).sum())
        found["fp"] += int((predicted & (mask == 0) & known).sum())
        found["fn"] += int((~predicted & (mask == 1) & known).sum())
        found["tn"] += int((~predicted & (mask == 0) & known).sum())
    return found


@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_every_class_is_scored_alone_by_its_outcomes(reader, threshold):
    evaluation = evaluate(predictor(threshold=(f"edema={threshold}",)), reader, "val")
    scores = evaluation.scores
    for index, at in ((0, 0.5), (1, threshold)):
        n = outcomes(reader, reader.samples, index, at)
        assert scores.outcomes[index] == n
        assert scores.per_class["iou"][index] == n["tp"] / (n["tp"] + n["fp"] + n["fn"])
        assert scores.per_class["precision"][index] == n["tp"] / (n["tp"] + n["fp"])
        assert scores.per_class["recall"][index] == n["tp"] / (n["tp"] + n["fn"])
        assert scores.per_class["f1"][index] == 2 * n["tp"] / (2 * n["tp"] + n["fp"] + n["fn"])
    assert scores.per_class["iou"][2] is None
    assert scores.overall["miou"] == pytest.approx(np.mean(scores.per_class["iou"][:2]))
    assert not scores.confusion


def test_an_image_has_its_own_scores_and_an_empty_one_none(reader):
    images = evaluate(predictor(), reader, "val").images
    assert images[0].iou == (1.0, 1.0, None)
    assert images[3].iou == (None, None, None)
    assert images[3].miou is None
    assert images[4].iou[0] is None
    n = outcomes(reader, ["4"], 1)
    assert images[4].iou[1] == n["tp"] / (n["tp"] + n["fp"] + n["fn"]) == images[4].miou


def test_the_files_and_the_report_name_every_class(reader, tmp_path):
    evaluation = evaluate(predictor(), reader, "val")
    write_metrics(evaluation, tmp_path / "metrics.json")
    values = json.loads((tmp_path / "metrics.json").read_text())
    assert {name: values["classes"]["edema"][name] for name in ("tp", "fp", "fn", "tn")} == evaluation.scores.outcomes[
        1
    ]
    assert values["classes"]["never"]["iou"] is None
    write_per_image(evaluation, tmp_path / "per_image.csv")
    head, *rows = (tmp_path / "per_image.csv").read_text().splitlines()
    assert head.endswith("iou/tumor,iou/edema,iou/never")
    assert len(rows) == 5
    write_report(evaluation, tmp_path / "report.html", title="overlap")
    page = (tmp_path / "report.html").read_text()
    assert "Confusion" not in page
    assert page.count("<figure>") == 4
    assert "tumor" in page


def test_exclusive_and_overlapping_classes_do_not_fit(reader):
    exclusive = predictor(replace(LABELS, overlapping=False))
    with pytest.raises(ConfigError, match="a data set of overlapping classes; expected exclusive ones"):
        evaluate(exclusive, reader, "val")
    reader.labels = exclusive.labels
    with pytest.raises(
        ConfigError, match=r"a data set of exclusive classes; expected overlapping ones, as the model has"
    ):
        evaluate(predictor(), reader, "val")


def test_labels_or_the_rule_make_a_predictor_overlapping():
    by_rule = Predictor(
        Channels(),
        labels=replace(LABELS, overlapping=False),
        normalization=Normalization(),
        decision=Decision(overlapping=True),
    )
    assert by_rule.labels == LABELS
    assert predictor().decision == by_rule.decision
