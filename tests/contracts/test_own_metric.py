"""A metric from a file outside the package, by class path and as an object: it shows wherever scores are shown."""

import csv
import json

import numpy as np
import pytest

from xseg.cli import main
from xseg.errors import ConfigError
from xseg.files.objects import load_object
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.metrics.metric import Metric
from xseg.metrics.registry import METRICS, create_metrics
from xseg.metrics.scores import add_counts, compute_scores, count_image
from xseg.training.options.task import TaskOptions
from xseg.training.segmentation import SegmentationTask

TINY = [
    "--model.encoder", "xception", "--model.width", "0.125", "--model.decoder_channels", "8", "--model.depth", "3",
    "--model.output_stride", "8", "--data.reader", "scenes", "--data.layout.scenes.size", "[33,48]",
    "--data.layout.scenes.counts", "[4,2,2]", "--data.crop", "[33,48]", "--data.batch_size", "2", "--data.workers", "0",
    "--trainer.accelerator", "cpu", "--trainer.max_epochs", "1",
]  # fmt: skip
FILE = '''
import numpy as np

from xseg.metrics.metric import Metric


class Presence(Metric):
    """Share of the images with a class in which it is found at all, and of the images with all their classes found."""

    name, title, overall_name, overall_title = "presence", "present", "all_present", "all present"

    def count(self, label, prediction):
        known = label != self.ignore_index
        has = [np.bincount(array[known], minlength=self.classes) > 0 for array in (label, prediction)]
        found = has[0] & has[1]
        every = np.full(self.classes, (found == has[0]).all())
        return np.stack([found, has[0], every, np.ones(self.classes, bool)]).astype(int)

    def per_class(self, counts):
        return [found / there if there else None for found, there in counts[:2].T.tolist()]

    def overall(self, counts):
        return counts[2, 0] / counts[3, 0]


class Skill(Metric):
    """From the confusion matrix, without a score of each class; beyond 0 to 1."""

    name = "skill"

    def overall(self, counts):
        return 100.0 + np.trace(counts) / counts.sum()


class Words(Metric):
    name = "words"

    def overall(self, counts):
        return "good"


class Few(Metric):
    name = "few"

    def per_class(self, counts):
        return [0.5]


class Iou(Metric):
    name = "iou"

    def per_class(self, counts):
        return [0.5] * len(counts)


class Nothing(Metric):
    name = "nothing"


class Plain:
    name = "plain"
'''


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own_metric")
    (folder / "own.py").write_text(FILE)
    own = ["--run.metrics", f"[{folder}/own.py:Presence, {folder}/own.py:Skill]", "--run.monitor", "val/f1/road"]
    assert main(["train", *TINY, *own, "--output_dir", str(folder / "run")]) == 0
    return folder / "run"


def class_names(run):
    return list(json.loads((run / "metrics.json").read_text())["classes"])


def test_it_is_in_the_table_of_a_training_with_what_is_monitored(run):
    with (run / "metrics.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert 0 <= float(row["val/all_present"]) <= 1
    assert 100 < float(row["val/skill"]) < 101
    for name in class_names(run):
        assert {f"val/presence/{name}", f"val/f1/{name}", f"val/iou/{name}"} <= set(row)
    assert "val/precision/road" not in row, "neither asked for nor monitored"
    assert "val/boundary_iou" not in row


def test_it_is_in_the_scores_and_the_report_of_a_training(run):
    values = json.loads((run / "metrics.json").read_text())
    assert 100 < values["skill"] < 101
    assert 0 <= values["all_present"] <= 1
    assert all("presence" in entry and "skill" not in entry for entry in values["classes"].values())
    assert [path.rpartition(":")[2] for path in values["evaluated"]["metrics"]] == ["Presence", "Skill"]
    page = (run / "report.html").read_text()
    for text in (">Present<", ">all present<", f">{values['skill']:.3f}<"):
        assert text in page
    with (run / "per_image.csv").open(newline="") as file:
        assert all(float(row["skill"]) >= 100 for row in csv.DictReader(file))


def test_it_is_in_an_evaluation(run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(run.parent)
    assert main(["evaluate", str(run), "--metrics", "own.py:Presence", "--output_dir", str(tmp_path / "out")]) == 0
    assert " present " in capsys.readouterr().out
    values = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert values["all_present"] == json.loads((run / "metrics.json").read_text())["all_present"]
    assert values["evaluated"]["metrics"] == [f"{run.parent}/own.py:Presence"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own.py:Words", "metric words gave 'good'; expected a number or None"),
        ("own.py:Few", "metric few gave 1 scores; expected one for each of 8 classes"),
        ("own.py:Iou", "metric 'iou' twice; expected a unique name"),
        ("own.py:Nothing", "metric nothing has no scores; expected per_class, overall or both"),
        ("own.py:Plain", "expected a subclass of xseg.metrics.metric.Metric with a name"),
        ("own.py:Missing", "has no 'Missing'"),
        ("jaccard", "metric 'jaccard'; expected a class path, or one of iou, "),
    ],
)
def test_a_mistake_is_one_line(run, tmp_path, capsys, monkeypatch, name, message):
    monkeypatch.chdir(run.parent)
    assert main(["evaluate", str(run), "--metrics", name, "--output_dir", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


class Sum(Metric):
    """Sums of floats; counts of two shapes are refused."""

    name = "sum"

    def count(self, label, prediction):
        return np.full(self.classes + (len(label) == len(prediction) == 1), 0.25)

    def per_class(self, counts):
        return [*counts[:-1], float("nan")]


def test_objects_and_classes_are_accepted_and_floats_are_summed():
    label = np.zeros((2, 3), np.uint8)
    for own in (Sum, Sum(classes=3, ignore_index=255)):
        metrics = create_metrics((own,), classes=3, ignore_index=255)
        counts = count_image(metrics, label, label, classes=3, ignore_index=255)
        scores = compute_scores(metrics, add_counts(counts, counts))
        assert scores.per_class["sum"] == (0.5, 0.5, None), "NaN has no meaning"
        assert scores.overall["sum"] == 0.5
        short = count_image(metrics, label[:1], label[:1], classes=3, ignore_index=255)
        with pytest.raises(ConfigError, match=r"metric sum counted an array of \(4,\) after one of \(3,\)"):
            add_counts(counts, short)


def test_every_registered_metric_can_be_monitored_and_shows(run):
    values = json.loads((run / "metrics.json").read_text())
    for name, kind in METRICS.items():
        if kind.two_classes:
            assert kind.overall_key() not in values, "there are eight classes"
            continue
        assert not kind.has_classes() or all(name in entry for entry in values["classes"].values())
        assert not kind.has_overall() or kind.overall_key() in values


def test_a_metric_in_the_package_is_a_class_and_a_line_of_the_registry(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(FILE)
    found = load_object(f"{tmp_path}/own.py:Presence")
    monkeypatch.setitem(METRICS, found.name, found)
    labels = LabelMap(("road", "sky", "tree"))
    options = TaskOptions(encoder="xception", width=0.125, depth=3, decoder_channels=8, output_stride=8)
    task = SegmentationTask(options, labels, Normalization(), in_channels=3)
    assert {"val/all_present", "val/presence/sky"} <= set(task.score_names())
    label = np.zeros((2, 3), np.uint8)
    metrics = create_metrics((), classes=3, ignore_index=255)
    counts = count_image(metrics, label, label, classes=3, ignore_index=255)
    values = compute_scores(metrics, counts).to_dict(labels.names)
    assert values["all_present"] == values["classes"]["road"]["presence"] == 1
