import json
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback

from xseg.errors import DataError
from xseg.training.callbacks.assembly import run_callbacks
from xseg.training.callbacks.watch import LossWatch
from xseg.training.checkpoints.io import damage, read_checkpoint
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.options.recipe import OptimizerOptions
from xseg.training.options.run import RunOptions


def fit(tiny, folder, task, *callbacks, epochs=2, data=None, **options):
    notes = []
    ours = run_callbacks(RunDirectory(folder), RunOptions(pictures=0, **options), seed=0, on_message=notes.append)
    trainer = tiny.tiny_trainer(folder, [*callbacks, *ours], epochs)
    trainer.fit(task, datamodule=data or tiny.HalvesData())
    return notes


def test_a_loss_that_is_no_number_stops_with_the_batchs_names_and_keeps_the_last_good_state(tiny, tmp_path):
    class Poison(Callback):
        def on_train_batch_start(self, trainer, _module, batch, _index):
            if trainer.global_step == 5:
                batch["image"][1, 0, 0, 0] = float("nan")

    with pytest.raises(
        DataError, match=r"nan at step 6 \(epoch 2\).*bad_batch.json.*model.optimizer.lr.*resume from last.ckpt"
    ) as error:
        fit(tiny, tmp_path, tiny.tiny_task(), Poison(), checkpoint_steps=1)
    assert "\n" not in str(error.value)
    told = json.loads((tmp_path / "bad_batch.json").read_text())
    assert told["images"] == ["2", "3"]
    assert told["loss"] == "nan"
    assert set(told["lr"]) >= {"encoder", "decoder", "last"}
    checkpoint = read_checkpoint(tmp_path / "last.ckpt")
    assert damage(tmp_path / "last.ckpt") is None
    assert checkpoint["global_step"] == 5
    assert all(torch.isfinite(tensor).all() for tensor in checkpoint["state_dict"].values())


def test_losses_that_were_not_looked_at_yet_are_before_anything_is_saved(tiny, tmp_path, monkeypatch):
    """As on a GPU, where a look costs: it is due every tenth step, and before a checkpoint."""
    monkeypatch.setattr("xseg.training.callbacks.watch.LossWatch.on_train_batch_end", _collect)

    class Poison(Callback):
        def on_train_batch_start(self, trainer, _module, batch, _index):
            if trainer.global_step == 1:
                batch["image"][:] = float("nan")

    with pytest.raises(DataError, match=r"loss is nan at step 2 .*start again: nothing was saved before"):
        fit(tiny, tmp_path, tiny.tiny_task(), Poison(), checkpoint_steps=3)
    assert not (tmp_path / "last.ckpt").exists()


def _collect(watch, trainer, _module, outputs, batch, _index):
    watch._seen.append((trainer.global_step, outputs["loss"].detach(), list(batch["name"])))


def test_an_exploding_loss_is_told_once_with_what_to_do(tiny, tmp_path):
    class Explode(Callback):
        def on_train_batch_start(self, trainer, module, _batch, _index):
            if trainer.global_step in (5, 6):
                with torch.no_grad():
                    module.model.segmentation_head.bias += torch.tensor([0.0, 0.0, 500.0])

    notes = fit(tiny, tmp_path, tiny.tiny_task(), Explode())
    (note,) = (each for each in notes if "explodes" in each)
    assert "at step 6" in note
    assert "gradient_clip_val" in note


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([2.0, 2.0, 19.0], 0),
        ([2.0, 2.0, 21.0], 1),
        ([0.05, 0.05, 9.0], 0),
        ([0.05, 0.05, 11.0], 1),
        ([0.05] * 20 + [0.4], 0),
        ([0.05] * 20 + [0.6], 1),
        ([2.0, 21.0, 400.0], 1),
        ([2.0] + [21.0] * 40, 1),
    ],
)
def test_a_loss_explodes_at_ten_times_the_usual_and_early_at_ten_times_that_of_random_weights(tmp_path, losses, told):
    notes = []
    watch = LossWatch(tmp_path / "bad_batch.json", notes.append)
    trainer = SimpleNamespace(accumulate_grad_batches=1, current_epoch=0)
    for step, loss in enumerate(losses, start=1):
        watch._seen.append((step, torch.tensor(loss), []))
    watch.look(trainer)
    assert len(notes) == told


def test_parameters_without_a_part_in_the_loss_are_named(tiny, tmp_path):
    task = tiny.tiny_task()
    task.model.decoder.forgotten = torch.nn.Conv2d(1, 1, 1)
    (note,) = (each for each in fit(tiny, tmp_path, task, epochs=1) if "do not contribute" in each)
    assert (
        "2 parameters do not contribute to the loss (model.decoder.forgotten.weight, model.decoder.forgotten.bias)"
        in note
    )


@pytest.mark.parametrize(("epochs", "told"), [(1, 0), (2, 1), (4, 1)])
def test_a_collapse_to_one_class_is_told_once_when_it_lasts(tiny, tmp_path, epochs, told):
    task = tiny.tiny_task(optimizer=OptimizerOptions(lr=1e-9))
    with torch.no_grad():
        task.model.segmentation_head.bias += torch.tensor([0.0, 9.0, 0.0])
    notes = fit(tiny, tmp_path, task, epochs=epochs)
    assert len(notes) == told
    assert all("every pixel is predicted as bright" in note and "class_weights" in note for note in notes)


def test_waiting_for_images_is_told_with_what_to_do(tiny, tmp_path, monkeypatch):
    import time

    monkeypatch.setattr("xseg.training.callbacks.watch.WAIT_SECONDS", 0.05)

    class Slow(tiny.Halves):
        def __getitem__(self, index):
            time.sleep(0.05)
            return super().__getitem__(index)

    class SlowData(tiny.HalvesData):
        def train_dataloader(self):
            return torch.utils.data.DataLoader(Slow(8), batch_size=2)

    notes = fit(tiny, tmp_path, tiny.tiny_task(), data=SlowData())
    (note,) = (each for each in notes if "waiting for images" in each)
    assert "data.workers" in note
    assert not [each for each in fit(tiny, tmp_path / "quick", tiny.tiny_task()) if "waiting" in each]
