"""Cross-validations of tiny models on generated scenes, in processes as users start them."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

import xseg
from xseg.api.parsing import parse_data
from xseg.cli import main
from xseg.data.readers.registry import create_reader
from xseg.metrics.metric import confusion_matrix
from xseg.metrics.overlap import Iou

FOLDS = 2
CONFIG = {
    "model": {
        "encoder": "xception",
        "width": 0.125,
        "depth": 3,
        "decoder_channels": 8,
        "output_stride": 8,
        "optimizer": {"name": "adamw", "lr": 0.02},
    },
    "data": {
        "reader": "scenes",
        "crop": [32, 32],
        "workers": 0,
        "batch_size": 2,
        "layout": {"scenes": {"size": [32, 48], "counts": [10, 5, 4]}},
    },
    "trainer": {"max_epochs": 2, "accelerator": "cpu"},
    "run": {"checkpoint_steps": 1, "pictures": 0},
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    file = tmp_path_factory.mktemp("config") / "tiny.yaml"
    file.write_text(yaml.safe_dump(CONFIG))
    return file


def command(config, folder, *options, folds=FOLDS):
    chosen = ["--folds", str(folds), "--config", str(config), "--output_dir", str(folder)]
    return [sys.executable, "-m", "xseg", "crossval", *chosen, *options]


def run(*arguments, **options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command(*arguments, **options), env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    """A cross-validation that was not disturbed, with folds side by side, and what it printed."""
    folder = tmp_path_factory.mktemp("finished") / "cv"
    status, shown, errors = run(config, folder, "--jobs", "2")
    assert status == 0, errors
    return folder, shown


def table(folder):
    with (folder / "crossval.csv").open(encoding="utf-8", newline="") as file:
        return {row["fold"]: row for row in csv.DictReader(file)}


def test_every_fold_is_a_run_scored_on_its_own_images_and_the_table_sums_up(finished):
    folder, shown = finished
    rows = table(folder)
    assert [*rows] == ["1", "2", "mean", "sd", "pooled"]
    confusions, names = [], []
    for fold in range(1, FOLDS + 1):
        place = folder / f"fold-{fold}"
        scores = json.loads((place / "metrics.json").read_text("utf-8"))
        assert float(rows[str(fold)]["miou"]) == pytest.approx(scores["miou"], abs=1e-6)
        assert float(rows[str(fold)]["iou/sky"]) == pytest.approx(scores["classes"]["sky"]["iou"], abs=1e-6)
        confusions.append(np.array(scores["confusion"]))
        with (place / "per_image.csv").open(encoding="utf-8", newline="") as file:
            scored = [row["name"] for row in csv.DictReader(file)]
        assert len(scored) == int(rows[str(fold)]["images"])
        names += scored
        assert f"fold {fold}: best model: {place / 'best'}" in shown
        assert f'href="fold-{fold}/report.html"' in (folder / "report.html").read_text("utf-8")
    assert len(names) == len(set(names)) == 15
    values = [float(rows[str(fold)]["miou"]) for fold in range(1, FOLDS + 1)]
    assert float(rows["mean"]["miou"]) == pytest.approx(np.mean(values), abs=2e-6)
    assert float(rows["sd"]["miou"]) == pytest.approx(np.std(values, ddof=1), abs=2e-6)
    pooled = Iou(classes=8, ignore_index=255).overall(sum(confusions))
    assert float(rows["pooled"]["miou"]) == pytest.approx(pooled, abs=1e-6)
    assert f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}" in shown


def test_killed_in_a_fold_and_resumed_it_gives_the_same_table_and_weights(config, finished, tmp_path):
    folder = tmp_path / "cv"
    process = subprocess.Popen(
        command(config, folder),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not (folder / "fold-2" / "last.ckpt").is_file():
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)  # the training, too, wherever it is
    process.wait()
    first = (folder / "fold-1" / "best" / "model.safetensors").stat().st_mtime_ns
    with pytest.raises(xseg.XsegError, match=r"is a cross-validation without crossval\.csv"):
        xseg.load(folder)
    status, shown, errors = run(config, folder, "--resume", "auto")
    assert status == 0, errors
    assert f"{FOLDS} folds in {folder}, 1 of them done" in shown
    assert "fold 2: resuming from" in shown
    assert (folder / "fold-1" / "best" / "model.safetensors").stat().st_mtime_ns == first, "not trained again"
    for name in ("crossval.csv", "folds.csv", *(f"fold-{fold}/best/model.safetensors" for fold in (1, 2))):
        assert (folder / name).read_bytes() == (finished[0] / name).read_bytes(), name


def test_the_folder_is_an_ensemble_for_predict_evaluate_and_python(finished, tmp_path, capsys):
    folder, _ = finished
    ensemble, members = xseg.load(folder), [xseg.load(folder / f"fold-{fold}") for fold in range(1, FOLDS + 1)]
    reader = create_reader(parse_data(CONFIG["data"]))
    confusion = np.zeros((8, 8), int)
    for record in reader.records("test"):
        sample = reader.read(record)
        mean = np.mean([member(sample.image).probabilities for member in members], axis=0)
        np.testing.assert_allclose(ensemble(sample.image).probabilities, mean, atol=1e-5)
        confusion += confusion_matrix(sample.mask, mean.argmax(axis=0), classes=8, ignore_index=255)
    assert main(["evaluate", str(folder), "--split", "test"]) == 0
    scores = json.loads((folder / "evaluation" / "test" / "metrics.json").read_text("utf-8"))
    assert "note" not in capsys.readouterr().err
    assert main(["evaluate", str(folder)]) == 0
    assert "note: most folds were trained on the val images" in capsys.readouterr().err
    assert np.abs(np.array(scores["confusion"]) - confusion).sum() <= 4, "rounding may decide a tie"


def test_a_finished_one_is_not_trained_again(config, finished):
    folder, _ = finished
    before = (folder / "crossval.csv").read_bytes()
    status, shown, _ = run(config, folder, "--resume", "auto")
    assert status == 0
    assert f"{FOLDS} folds in {folder}, {FOLDS} of them done" in shown
    assert "epoch" not in shown
    assert (folder / "crossval.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "holds a cross-validation; .*; choose another, add --resume auto, or add --overwrite to start again"),
        (["--resume", "auto", "--folds", "4"], r"holds another cross-validation \(folds: 2, now 4\)"),
        (["--resume", "auto", "--trainer.max_epochs", "3"], r"\(options.trainer.max_epochs: 2, now 3\)"),
        (["--resume", "auto", "--data.layout.scenes.seed", "1"], r"holds another cross-validation \(data.train.sha256"),
        (["--resume", "auto", "--overwrite"], "both resume and overwrite; expected one of them"),
        (["--jobs", "0"], "folds=2, jobs=0; expected 2 folds and 1 job, or more"),
        (["--data.layout.splits.fold", "1"], "expected both or none of them"),
        (["--fold", "3"], "unknown option 'fold'"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_changes_nothing(config, finished, capsys, options, message):
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert main(command(config, folder, *options)[3:]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line), line
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_folder_in_use_or_of_another_kind_is_refused_and_overwriting_removes_only_its_own(
    config, finished, tmp_path, capsys
):
    from filelock import FileLock

    folder = tmp_path / "cv"
    shutil.copytree(finished[0], folder)
    with FileLock(folder / ".crossval.lock"):
        assert main(command(config, folder, "--overwrite")[3:]) == 2
    assert "is in use by another xseg crossval" in capsys.readouterr().err
    assert (folder / "crossval.csv").is_file()
    assert main(["crossval", "--task", "classification", "--output_dir", str(tmp_path / "new")]) == 2
    assert "a cross-validation of classification or of folds; expected images with masks" in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    assert main(command(config, other, "--overwrite")[3:]) == 2
    assert "is not empty; expected a new folder" in capsys.readouterr().err
