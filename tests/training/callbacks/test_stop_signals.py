"""Asked to stop, a training saves where it stands, and goes on from there to the same end."""

import os
import signal
import time

import pytest
import torch
from lightning.pytorch import Callback

from xseg.training.callbacks.assembly import run_callbacks
from xseg.training.callbacks.epoch_table import read_table
from xseg.training.callbacks.last_checkpoint import SIGNALS, StopSignals, TrainingStopped
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.options.run import RunOptions

TRAINING = [
    "train", "--model.encoder", "xception", "--model.width", "0.125", "--model.decoder_channels", "8",
    "--model.depth", "3", "--model.output_stride", "8", "--data.reader", "scenes", "--data.crop", "[33,48]",
    "--data.layout.scenes.size", "[33,48]", "--data.layout.scenes.counts", "[120,2,2]", "--data.batch_size", "2",
    "--data.workers", "0", "--trainer.accelerator", "cpu", "--trainer.max_epochs", "1", "--run.pictures", "0",
]  # fmt: skip


def test_afterwards_the_signals_are_theirs_who_had_them(tiny, tmp_path):
    before = [signal.getsignal(number) for number in SIGNALS]
    during = []

    class Look(Callback):
        def on_train_batch_end(self, *_):
            during.append([signal.getsignal(number) for number in SIGNALS])

    tiny.tiny_trainer(tmp_path, [StopSignals(), Look()], 1).fit(tiny.tiny_task(), datamodule=tiny.HalvesData())
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert all(handlers != before for handlers in during)


def test_a_stop_inside_the_validation_waits_for_the_end_of_the_epoch(tiny, tmp_path):
    class Ask(Callback):
        def on_validation_batch_end(self, trainer, *_):
            if trainer.current_epoch == 1:
                os.kill(os.getpid(), signal.SIGTERM)

    notes = []
    callbacks = run_callbacks(RunDirectory(tmp_path), RunOptions(pictures=0), seed=0, on_message=notes.append)
    trainer = tiny.tiny_trainer(tmp_path, [Ask(), *callbacks], 5)
    with pytest.raises(TrainingStopped, match="SIGTERM after step 8"):
        trainer.fit(tiny.tiny_task(), datamodule=tiny.HalvesData())
    assert len(read_table(tmp_path / "metrics.csv")) == 2
    assert len([note for note in notes if "SIGTERM" in note]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_checkpoint_is_of_the_step_at_which_it_was_asked(forks, tmp_path, number):
    run, _ = tmp_path / "run", forks.told()
    process = forks.start(*TRAINING, "--output_dir", run, "--run.checkpoint_steps", 3)
    while not (run / "last.ckpt").is_file():
        time.sleep(0.02)
    os.kill(process, number)
    assert forks.wait(process) == 130
    told = forks.told()
    assert f"{number.name}: saving a checkpoint, then stopping" in told
    assert "Traceback" not in told
    step = torch.load(run / "last.ckpt", weights_only=True)["global_step"]
    assert f"stopped after step {step}; resume with: xseg train --config" in told
    assert 0 < step < 60, "it was inside the epoch"
    assert not [path.name for path in run.iterdir() if path.name.startswith(".")]
    assert forks.run(*TRAINING, "--output_dir", run, "--resume", run / "last.ckpt") == 0
    assert f"resuming from {run / 'last.ckpt'} after step {step}" in forks.told()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_workers_too_saves_and_stops(forks, tmp_path, number):
    """Slurm signals every process of a job, and a terminal every process of the group."""
    run, _ = tmp_path / "run", forks.told()
    process = forks.start(*TRAINING, "--data.workers", 2, "--output_dir", run, "--run.checkpoint_steps", 3)
    while not (run / "last.ckpt").is_file():
        time.sleep(0.02)
    os.killpg(process, number)
    assert forks.wait(process) == 130, forks.log.read_text()[-3000:]
    step = torch.load(run / "last.ckpt", weights_only=True)["global_step"]
    assert f"stopped after step {step}" in forks.told()
    assert 0 < step < 60, "it was inside the epoch"
