"""Several processes train as one: the same losses, the same counts, and an end together."""

import csv
import json
import os
import signal
import time

import pytest
import torch

# SGD in double precision: training makes much of a last bit, and AdamW makes a step of it
MODEL = [
    "--model.encoder", "xception", "--model.width", "0.125", "--model.decoder_channels", "8", "--model.depth", "3",
    "--model.output_stride", "8", "--model.dropout", "0", "--model.loss.class_weights", "inverse_sqrt",
    "--model.batch_norm_momentum", "0.3", "--model.optimizer.name", "sgd", "--model.optimizer.lr", "0.3",
]  # fmt: skip
TRAINING = [
    "train", *MODEL, "--data.reader", "scenes", "--data.layout.scenes.size", "[33,48]",
    "--data.layout.scenes.counts", "[19,5,2]", "--data.crop", "[33,48]", "--data.workers", "0",
    "--trainer.accelerator", "cpu", "--trainer.precision", "64-true", "--trainer.sync_batchnorm", "true",
    "--run.checkpoint_steps", "1",
]  # fmt: skip
pytestmark = pytest.mark.slow


def together(forks, count, run, *arguments):
    return forks.start_together(count, *TRAINING, "--data.batch_size", 4 // count, "--output_dir", run, *arguments)


def finish(forks, processes):
    return [forks.wait(process) for process in processes]


def column(run, *names):
    with (run / "metrics.csv").open(newline="") as file:
        return [[float(row[name] or "nan") for name in names] for row in csv.DictReader(file)]


def scores(run):
    with (run / "metrics.csv").open(newline="") as file:
        return [
            {name: cell for name, cell in row.items() if name.startswith("val/iou")} for row in csv.DictReader(file)
        ]


@pytest.fixture(scope="module")
def alone(forks, tmp_path_factory):
    run = tmp_path_factory.mktemp("alone") / "run"
    epochs = ["--data.batch_size", 4, "--output_dir", run, "--trainer.max_epochs", 3]
    assert forks.run(*TRAINING, *epochs) == 0, forks.log.read_text()[-3000:]
    return run


def test_two_processes_have_the_losses_of_one_with_their_images(forks, alone, tmp_path):
    """19 images are 4 steps of 4 and a rest; 5 validation images are 3 and 2. Normalisation is over both."""
    run = tmp_path / "run"
    assert finish(forks, together(forks, 2, run, "--trainer.max_epochs", 3)) == [0, 0], forks.log.read_text()[-3000:]
    for one, two in zip(column(alone, "train/loss", "val/loss"), column(run, "train/loss", "val/loss"), strict=True):
        assert two == pytest.approx(one, rel=1e-6)
    assert json.loads((run / "environment.json").read_text())["config"]["trainer"]["devices"] in (2, "2")


def test_the_same_weights_are_scored_the_same_by_one_process_two_and_four(forks, alone, tmp_path):
    """Rates so low that the trained weights stay: every validation counts the same pixels in the same classes."""
    still = [
        "--model.start_from", alone, "--model.optimizer.lr", "1e-30", "--model.batch_norm", "frozen",
        "--model.batch_norm_momentum", "1e-9", "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1",
    ]  # fmt: skip
    found = []
    for count in (1, 2, 4):
        run = tmp_path / str(count)
        if count == 1:
            statuses = [forks.run(*TRAINING, "--data.batch_size", 4, "--output_dir", run, *still)]
        else:
            statuses = finish(forks, together(forks, count, run, *still))
        assert statuses == [0] * count, forks.log.read_text()[-3000:]
        found.append(scores(run))
    assert found[0] == found[1] == found[2]
    assert len(set(found[0][0].values())) > 3, "scores that tell classes apart"


def test_a_killed_process_ends_all_and_fewer_go_on_as_if_nothing_had_been(forks, alone, tmp_path):
    run = tmp_path / "run"
    processes = together(forks, 4, run, "--trainer.max_epochs", 3)
    while not (run / "previous.ckpt").is_file():
        time.sleep(0.02)
    os.kill(processes[2], signal.SIGKILL)
    began = time.monotonic()
    assert finish(forks, processes) == [2, 2, -signal.SIGKILL, 2]
    assert time.monotonic() - began < 60
    assert "has lost another process; expected all processes until the end" in forks.log.read_text()
    step = torch.load(run / "last.ckpt", weights_only=True)["global_step"]
    assert 0 < step < 12
    status = finish(forks, together(forks, 2, run, "--trainer.max_epochs", 3, "--resume", "auto"))
    assert status == [0, 0], forks.log.read_text()[-3000:]
    for one, two in zip(column(alone, "train/loss", "val/loss"), column(run, "train/loss", "val/loss"), strict=True):
        assert two == pytest.approx(one, rel=1e-6)


def test_other_images_per_step_are_refused_at_resume(forks, alone):
    forks.told()
    status = forks.run(*TRAINING, "--data.batch_size", 2, "--output_dir", alone, "--resume", "auto")
    assert status == 2
    assert "2 images x 1 processes" in forks.told()
