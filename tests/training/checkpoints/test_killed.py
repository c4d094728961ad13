"""Killed at any moment, a training that is resumed ends as one that nobody disturbed, to the last bit."""

import csv
import hashlib
import os
import random
import signal
import time

import pytest
import torch

# XSEG_KILLS=20 for the proof; with fewer, CI shows that the machinery is in place
KILLS = int(os.environ.get("XSEG_KILLS", "3"))
TIMED = {"seconds", "images_per_second", "data_wait", "memory_gb"}
TRAINING = [
    "train", "--model.encoder", "xception", "--model.width", "0.125", "--model.decoder_channels", "8",
    "--model.depth", "3", "--model.output_stride", "8", "--model.dropout", "0.3", "--model.ema_decay", "0.9",
    "--model.loss.class_weights", "inverse_sqrt", "--model.schedule.warmup_steps", "3",
    "--data.reader", "scenes", "--data.layout.scenes.size", "[33,48]", "--data.layout.scenes.counts", "[14,4,2]",
    "--data.crop", "[33,48]", "--data.batch_size", "2", "--data.jitter", "0.2",
    "--trainer.accelerator", "cpu", "--trainer.max_epochs", str(3 + KILLS),
    "--run.checkpoint_steps", "2", "--run.keep_top", "2", "--run.pictures", "1",
]  # fmt: skip


def weights(run):
    """Return a hash over all tensors of the last checkpoint's weights, averaged and not, and of the optimiser."""
    checkpoint = torch.load(run / "last.ckpt", weights_only=True)
    digest = hashlib.sha256()
    for part in ("state_dict", "current_model_state"):
        for name, tensor in checkpoint[part].items():
            digest.update(name.encode() + tensor.numpy().tobytes())
    for state in checkpoint["optimizer_states"][0]["state"].values():
        for name in ("exp_avg", "exp_avg_sq", "step"):
            digest.update(state[name].numpy().tobytes())
    return digest.hexdigest()


def files(run):
    """Return a hash of every file that has to be the same, and the names of the others."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        same = path.suffix in (".safetensors", ".png") or name == "per_image.csv"
        if path.is_file() and "tensorboard" not in name:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if same and name != "per_image.csv" else ""
    return found


def table(run):
    with (run / "metrics.csv").open(newline="") as file:
        return [{name: cell for name, cell in row.items() if name not in TIMED} for row in csv.DictReader(file)]


@pytest.fixture(scope="module", params=[0, 2] if KILLS > 3 else [2], ids="{}_workers".format)
def undisturbed(request, forks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    training = [*TRAINING, "--data.workers", request.param]
    began = time.monotonic()
    process = forks.start(*training, "--output_dir", folder / "run")
    while not (folder / "run" / "last.ckpt").is_file():
        time.sleep(0.01)
    started = time.monotonic() - began
    assert forks.wait(process) == 0, forks.log.read_text()[-3000:]
    return training, folder / "run", started


def wait_a_while(run, chance, started):
    """Wait up to three checkpoints and a little: then lives are of a length, however fast the machine is just now."""
    checkpoints = chance.randrange(4)
    end = time.monotonic() + (10 * started if checkpoints else chance.uniform(0, started))  # none: while it starts
    seen, last = set(), run / "last.ckpt"
    while len(seen) <= max(1, checkpoints) and time.monotonic() < end:
        if last.is_file():
            seen.add(last.stat().st_mtime_ns)
        time.sleep(0.002)
    if checkpoints:
        time.sleep(chance.uniform(0, 0.1))


@pytest.mark.slow
def test_killed_and_resumed_it_ends_as_if_nobody_had_disturbed_it(undisturbed, forks, tmp_path):
    training, whole, started = undisturbed
    run, chance = tmp_path / "run", random.Random(KILLS)
    for kill in range(KILLS):
        process = forks.start(*training, "--output_dir", run, "--resume", "auto")
        wait_a_while(run, chance, started)
        os.kill(process, signal.SIGKILL)
        assert forks.wait(process) == -signal.SIGKILL, f"life {kill}: {forks.log.read_text()[-3000:]}"
    assert forks.run(*training, "--output_dir", run, "--resume", "auto") == 0, forks.log.read_text()[-3000:]
    assert weights(run) == weights(whole)
    assert table(run) == table(whole)
    assert files(run) == files(whole)
