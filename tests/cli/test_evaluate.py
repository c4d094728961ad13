from __future__ import annotations

import csv
import json
import re
import shutil

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import xseg
from xseg.api.evaluation import default_directory
from xseg.bundles.bundle import Bundle, save_bundle
from xseg.cli import main
from xseg.exporting.formats import FORMATS
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.metrics.metric import confusion_matrix
from xseg.metrics.overlap import Iou
from xseg.models.build import build_model
from xseg.models.config import ModelConfig

NAMES = ("road", "sky", "tree")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    torch.manual_seed(0)
    network = build_model(ModelConfig(encoder="xception", classes=3, width=0.125, depth=3, decoder_channels=16))
    torch.nn.init.normal_(network.segmentation_head.weight, std=2)
    return save_bundle(Bundle(network.eval(), LabelMap(NAMES), Normalization()), tmp_path_factory.mktemp("b") / "best")


@pytest.fixture
def data(tmp_path):
    """A folder of images and masks, with a val and a test split."""
    root = tmp_path / "data"
    random = np.random.default_rng(0)
    for split, count in (("val", 3), ("test", 2)):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(random.integers(0, 256, (40, 50, 3), np.uint8)).save(
                root / split / "images" / f"{index}.png"
            )
            mask = random.choice([0, 1, 2, 255], (40, 50)).astype(np.uint8)
            Image.fromarray(mask).save(root / split / "masks" / f"{index}.png")
    (root / "classes.txt").write_text("\n".join(NAMES) + "\n")
    return root


@pytest.fixture
def run(bundle, data, tmp_path):
    """A run directory: a bundle, the configuration that it was trained with, and its curves."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "best").symlink_to(bundle)
    config = {
        "data": {
            "reader": "folder",
            "root": str(data),
            "crop": [16, 16],
            "scale": [0.5, 2.0],
            "layout": {"labels": {"classes": [*NAMES]}},
        },
        "model": {"encoder": "xception"},
        "trainer": {"max_epochs": 3},
    }
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "metrics.csv").write_text("epoch,lr,train/loss,val/loss,val/miou\n1,0.1,2,2,0.1\n2,0.05,1,1.5,0.3\n")
    return run


def scores(directory):
    return json.loads((directory / "metrics.json").read_text("utf-8"))


def test_a_run_is_scored_on_the_data_it_was_trained_with(run, data, capsys):
    assert main(["evaluate", str(run)]) == 0
    out = run / "evaluation" / "val"
    written = ["counts.json", "metrics.json", "per_image.csv", "report.html"]
    assert sorted(path.name for path in out.iterdir()) == written
    shown = capsys.readouterr().out
    assert f"report: {out / 'report.html'}" in shown
    assert "3 images in" in shown
    values = scores(out)
    for name in NAMES:
        assert name in shown
        assert f"{values['classes'][name]['iou']:.4f}" in shown
    assert f"mIoU {values['miou']:.4f}" in shown
    assert "Validation mIoU" in (out / "report.html").read_text("utf-8"), "the run's curves"


def test_the_scores_are_those_of_the_masks_that_predict_writes(run, data, tmp_path):
    out = tmp_path / "out"
    assert main(["evaluate", str(run), "--split", "test", "--output_dir", str(out)]) == 0
    assert main(["predict", str(run), str(data / "test" / "images"), "--output_dir", str(out)]) == 0
    confusion = sum(
        confusion_matrix(
            np.asarray(Image.open(data / "test" / "masks" / f"{index}.png")),
            np.asarray(Image.open(out / "masks" / f"{index}.png")),
            classes=3,
            ignore_index=255,
        )
        for index in range(2)
    )
    values = scores(out)
    assert values["confusion"] == confusion.tolist()
    assert values["miou"] == Iou(classes=3, ignore_index=255).overall(confusion)
    with (out / "per_image.csv").open(encoding="utf-8", newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["0", "1"]


def test_several_models_are_scored_and_predict_as_an_ensemble(run, bundle, data, tmp_path, capsys):
    torch.manual_seed(1)
    network = build_model(ModelConfig(encoder="xception41", classes=3, width=0.125, depth=3, decoder_channels=16))
    torch.nn.init.normal_(network.segmentation_head.weight, std=2)
    other = save_bundle(Bundle(network.eval(), LabelMap(NAMES), Normalization()), tmp_path / "other")
    out, both, exact = tmp_path / "out", f"{run},{other}", ["--backend", "torch", "--precision", "float32"]
    assert main(["evaluate", both, "--split", "test", "--output_dir", str(out)]) == 0
    assert main(["predict", both, str(data / "test" / "images"), "--output_dir", str(out), *exact]) == 0
    assert "2 models, torch in float32" in capsys.readouterr().err
    members = [xseg.load(model, device="cpu") for model in (run, other)]
    confusion = np.zeros((3, 3), int)
    for index in range(2):
        image = data / "test" / "images" / f"{index}.png"
        mean = np.mean([member(image).probabilities for member in members], axis=0)
        np.testing.assert_array_equal(np.asarray(Image.open(out / "masks" / f"{index}.png")), mean.argmax(axis=0))
        label = np.asarray(Image.open(data / "test" / "masks" / f"{index}.png"))
        confusion += confusion_matrix(label, mean.argmax(axis=0), classes=3, ignore_index=255)
    assert scores(out)["confusion"] == confusion.tolist()
    assert "<dt>Models</dt><dd>2</dd>" in "".join((out / "report.html").read_text("utf-8").split())
    assert json.loads((out / "run.json").read_text("utf-8"))["model"].count(",") == 1, "a digest of each model"
    assert default_directory(f"{run},{other}", "val").parts[-2:] == ("run+other", "val")


def test_a_bundle_takes_its_data_from_the_command_line_or_a_file(bundle, run, data, tmp_path):
    lines = ["--data.reader", "folder", "--data.root", str(data)]
    assert main(["evaluate", str(bundle), *lines, "--output_dir", str(tmp_path / "line")]) == 0
    config = ["--config", str(run / "config.yaml")]
    assert main(["evaluate", str(bundle), *config, "--output_dir", str(tmp_path / "file")]) == 0
    line, file = scores(tmp_path / "line"), scores(tmp_path / "file")
    assert {**line, "evaluated": None} == {**file, "evaluated": None}
    assert line["evaluated"]["data"]["root"] == file["evaluated"]["data"]["root"] == str(data)


def test_the_command_line_wins_over_the_file_and_the_file_over_the_run(run, data, tmp_path, capsys):
    config = tmp_path / "other.yaml"
    of_the_file = {"reader": "folder", "root": str(tmp_path / "of_the_file")}
    config.write_text(yaml.safe_dump({"data": of_the_file}))
    assert main(["evaluate", str(run), "--config", str(config)]) == 2
    assert "of_the_file" in capsys.readouterr().err
    out = ["--output_dir", str(tmp_path / "out")]
    assert main(["evaluate", str(run), "--config", str(config), "--data.root", str(data), *out]) == 0


def test_a_file_of_another_data_set_replaces_all_of_the_runs_data_options(run, data, tmp_path):
    """The run's names of splits mean nothing for the other data set: with them, its val images would be its test."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["layout"]["splits"] = {"test": "val"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({"data": {"reader": "folder", "root": str(data)}}))
    out = tmp_path / "out"
    assert main(["evaluate", str(run), "--config", str(other), "--split", "test", "--output_dir", str(out)]) == 0
    with (out / "per_image.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 2, "the test images, not the three of val"


def test_the_scores_name_model_data_split_and_options(run, data, tmp_path):
    out = tmp_path / "out"
    assert main(["evaluate", str(run), "--split", "test", "--flip", "--output_dir", str(out)]) == 0
    evaluated = scores(out)["evaluated"]
    assert evaluated["model"] == str(run)
    assert evaluated["split"] == "test"
    assert evaluated["data"]["reader"] == "folder"
    assert evaluated["data"]["root"] == str(data)
    assert evaluated["data"]["layout"]["labels"]["classes"] == [*NAMES]
    assert evaluated["options"]["flip"] is True
    assert evaluated["options"]["scales"] == [1.0]


@pytest.mark.parametrize("change", ["data", "split", "flip", "foreign"])
def test_an_evaluation_of_something_else_is_not_overwritten_without_being_asked(run, data, tmp_path, capsys, change):
    out = tmp_path / "out"
    line = ["evaluate", str(run), "--output_dir", str(out)]
    assert main(line) == 0
    before = scores(out)
    assert main([*line, "--batch_size", "2"]) == 0, "the same again replaces it"
    other = tmp_path / "other_data"
    shutil.copytree(data, other)
    more = {"data": ["--data.root", str(other)], "split": ["--split", "test"], "flip": ["--flip"], "foreign": []}[
        change
    ]
    if change == "foreign":
        (out / "metrics.json").write_text("{}")
        before = {}
    assert main([*line, *more]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--overwrite" in error
    assert change in error or change == "foreign"
    assert scores(out).keys() == before.keys()
    assert main([*line, *more, "--overwrite"]) == 0
    assert scores(out)["evaluated"]


def test_a_mistyped_run_is_reported_as_what_it_is(run, capsys):
    for name in (f"{run}n", "mistyped"):
        assert main(["evaluate", name]) == 2
        assert f"{name} does not exist" in capsys.readouterr().err


def test_the_report_names_the_precision_that_was_computed_in(run, tmp_path):
    assert main(["evaluate", str(run), "--precision", "auto", "--device", "cpu", "--output_dir", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "auto on" not in page
    assert re.search(r"(float32|bfloat16) on cpu", page)


def test_averaging_and_a_batch_are_options(run, tmp_path):
    main(["evaluate", str(run), "--output_dir", str(tmp_path / "plain")])
    main(["evaluate", str(run), "--output_dir", str(tmp_path / "batch"), "--batch_size", "3"])
    main(["evaluate", str(run), "--output_dir", str(tmp_path / "tta"), "--scales", "0.75", "1", "--flip"])
    plain, batch, averaged = (scores(tmp_path / name) for name in ("plain", "batch", "tta"))
    assert np.abs(np.subtract(plain["confusion"], batch["confusion"])).sum() <= 4, "but for rounding"
    assert np.abs(np.subtract(plain["confusion"], averaged["confusion"])).sum() > 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--data.rot", "x"], "unknown option --data.rot; did you mean --data.root?"),
        (["--split", "vall"], "split"),
        (["--data.root", "nowhere"], "nowhere"),
        (["--data.crop", "[1]"], "crop"),
        (["--config", "nowhere.yaml"], "'nowhere.yaml' cannot be read"),
        (["--data.layout.labels.classes", "[road, sky]"], ""),
        (["--scales", "-1"], "scales"),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(run, tmp_path, capsys, change, message):
    status = main(["evaluate", str(run), "--output_dir", str(tmp_path / "out"), *change])
    error = capsys.readouterr().err
    assert status == 2
    assert error.startswith("xseg evaluate: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {rooot: x}", "unknown option data.rooot; did you mean data.root?"),
        ("data: 3", "no options under"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_damaged_configuration_is_one_line(run, capsys, text, message):
    (run / "config.yaml").write_text(text)
    assert main(["evaluate", str(run)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_truncated_image_ends_the_evaluation_with_its_name_and_no_scores(run, data, tmp_path, capsys):
    file = data / "val" / "images" / "1.png"
    file.write_bytes(file.read_bytes()[:900])
    assert main(["evaluate", str(run), "--output_dir", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert str(file) in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_an_output_folder_a_run_keeps_its_scores_and_others_go_to_runs(run, bundle):
    assert default_directory(run, "test") == run / "evaluation" / "test"
    assert default_directory("owner/name", "val").as_posix() == "runs/evaluate/name/val"
    assert default_directory(bundle, "val").as_posix() == "runs/evaluate/best/val"


@pytest.mark.parametrize("name", ["onnx", "openvino", pytest.param("pt2", marks=pytest.mark.slow), "torchscript"])
def test_an_exported_file_is_evaluated_like_its_model(bundle, data, tmp_path, name, capsys):
    form = FORMATS[name]
    if form.missing_packages():
        pytest.skip(f"needs {form.missing_packages()}")
    file = tmp_path / f"model{form.suffix}"
    assert main(["export", str(bundle), "--format", name, "--output", str(file)]) == 0
    lines = ["--data.reader", "folder", "--data.root", str(data), "--batch_size", "2"]
    for source, out in ((file, "file"), (bundle, "bundle")):
        capsys.readouterr()
        assert main(["evaluate", str(source), *lines, "--output_dir", str(tmp_path / out)]) == 0
        assert "report:" in capsys.readouterr().out
    ours, theirs = scores(tmp_path / "bundle"), scores(tmp_path / "file")
    pixels = np.array(ours["confusion"])
    assert np.abs(pixels - np.array(theirs["confusion"])).sum() <= 2e-3 * pixels.sum()
    assert theirs["miou"] == pytest.approx(ours["miou"], abs=2e-3)
    assert theirs["evaluated"]["model"] == str(file)
    assert {path.name for path in (tmp_path / "file").iterdir()} >= {"metrics.json", "per_image.csv", "report.html"}
    page = (tmp_path / "file" / "report.html").read_text()
    assert str(file) in page
