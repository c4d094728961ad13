"""Loggers have names; each gets every score of every class."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import get_args

import pytest
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger

import xseg
from xseg.cli import main
from xseg.errors import ConfigError
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.options.run import LoggerName, RunOptions
from xseg.training.run import loggers
from xseg.training.run.loggers import LOGGERS, PACKAGES, named_loggers

TINY = [
    "--model.encoder", "xception", "--model.width", "0.125", "--model.decoder_channels", "8", "--model.depth", "3",
    "--model.output_stride", "8", "--data.reader", "scenes", "--data.layout.scenes.size", "[33,48]",
    "--data.layout.scenes.counts", "[4,2,2]", "--data.crop", "[33,48]", "--data.batch_size", "2", "--data.workers", "0",
    "--trainer.accelerator", "cpu", "--trainer.max_epochs", "2", "--run.pictures", "0",
]  # fmt: skip


def test_every_name_has_a_logger():
    assert set(LOGGERS) == set(get_args(LoggerName))
    assert set(PACKAGES) <= set(LOGGERS)


def test_names_make_lightnings_own_loggers(tmp_path, monkeypatch):
    run = RunDirectory(tmp_path / "run")
    (board,) = named_loggers(RunOptions(), run)
    assert isinstance(board, TensorBoardLogger)
    assert Path(board.log_dir) == run.tensorboard
    table, _ = named_loggers(RunOptions(logger=("csv", "tensorboard")), run, step=7)
    assert isinstance(table, CSVLogger)
    assert table.log_dir == str(run.csv / "from_step_7"), "a resumed training keeps the earlier file"
    made = []
    for kind in (WandbLogger, MLFlowLogger):
        monkeypatch.setattr(loggers, kind.__name__, lambda *given, **named: made.append((given, named)))
    monkeypatch.setattr(loggers, "find_spec", lambda _: True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    assert len([*named_loggers(RunOptions(logger=("wandb", "mlflow")), run)]) == 2
    assert made[0] == (("run", run.path), {"project": "xseg", "group": "run"})
    assert made[1] == (("xseg", "run", "http://server"), {})


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_one_line_with_its_command_before_anything_is_written(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(loggers, "find_spec", lambda _: None)
    assert main(["train", *TINY, "--run.logger", name, "--output_dir", str(tmp_path / "run")]) == 2
    line = f"run.logger={name} needs {name}, which is not installed; pip install {name}"
    assert capsys.readouterr().err.endswith(f"error: {line}\n")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=f"run.logger={name} needs {name}"):
        xseg.train(loggers=[name], data={"reader": "scenes"}, output_dir=tmp_path / "run")


def test_the_scores_of_every_class_arrive_in_every_logger(tmp_path, monkeypatch):
    other = CSVLogger(tmp_path, name="other", version="")
    monkeypatch.setitem(LOGGERS, "wandb", lambda *_: other)
    monkeypatch.setattr(loggers, "find_spec", lambda _: True)
    assert main(["train", *TINY, "--run.logger", "[csv,wandb]", "--output_dir", str(tmp_path / "run")]) == 0
    assert not (tmp_path / "run" / "tensorboard").exists()
    columns = set((tmp_path / "run" / "metrics.csv").read_text().splitlines()[0].split(","))
    scores = {name for name in columns if name.startswith("val/")}
    assert {"val/miou", "val/iou/road", "val/iou/sign"} <= scores
    for folder in (tmp_path / "run" / "csv", tmp_path / "other"):
        with (folder / "metrics.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["val/miou"]]
        assert len(rows) == 2
        assert scores <= set(rows[0])
