import json

import pytest
import torch
from lightning.pytorch import Callback
from safetensors.torch import load_file

from xseg.bundles.bundle import load_bundle
from xseg.files.atomic import write_table
from xseg.training.callbacks.assembly import run_callbacks
from xseg.training.callbacks.best_bundles import BestBundles
from xseg.training.callbacks.epoch_table import EpochTable, read_table
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.options.run import RunOptions

TIMED = ("seconds", "images_per_second", "data_wait", "memory_gb")


def fit(tiny, folder, *, epochs, resume=None, ema_decay=None, told=None, seed=3, **changes):
    run = RunDirectory(folder)
    tell = None if told is None else (lambda *row: told.append(row))
    origin = {"encoder_weights": None}
    callbacks = run_callbacks(run, RunOptions(), seed=seed, ema_decay=ema_decay, provenance=origin, on_epoch=tell)
    task = tiny.tiny_task(dropout=0.5, **changes)
    trainer = tiny.tiny_trainer(folder, callbacks, epochs)
    trainer.fit(task, datamodule=tiny.HalvesData(), ckpt_path=resume, weights_only=True)
    return run, task, callbacks


@pytest.mark.parametrize("ema_decay", [None, 0.8])
def test_a_resumed_training_ends_as_an_uninterrupted_one(tiny, tmp_path, ema_decay):
    class StopError(Exception):
        pass

    whole, straight, _ = fit(tiny, tmp_path / "whole", epochs=3, ema_decay=ema_decay)
    half = tmp_path / "half"

    def stop_after_the_first(row, *_):
        if row["epoch"] == 2:
            raise StopError

    run = RunDirectory(half)
    callbacks = run_callbacks(
        run, RunOptions(), seed=3, ema_decay=ema_decay, provenance={}, on_epoch=stop_after_the_first
    )
    with pytest.raises(StopError):
        tiny.tiny_trainer(half, callbacks, 3).fit(tiny.tiny_task(dropout=0.5), datamodule=tiny.HalvesData())
    assert [row["epoch"] for row in read_table(run.metrics)] == [1, 2]
    _, resumed, _ = fit(tiny, half, epochs=3, resume=run.last_checkpoint, ema_decay=ema_decay)
    for (name, one), other in zip(straight.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    rows = [read_table(folder.metrics) for folder in (whole, run)]
    assert [row["epoch"] for row in rows[1]] == [1, 2, 3], "the row of the epoch that is done again is replaced"
    for one, other in zip(*rows, strict=True):
        timeless = [name for name in one if name not in TIMED]
        assert [one[name] for name in timeless] == [other[name] for name in timeless]


def test_the_average_is_what_is_scored_and_saved(tiny, tmp_path):
    """A decay of almost 1 keeps the average at the weights after the first step, so epochs score alike."""
    run, _, _ = fit(tiny, tmp_path, epochs=3, ema_decay=1 - 1e-9)
    losses = [row["val/loss"] for row in read_table(run.metrics)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5) == pytest.approx(losses[2], abs=1e-5)
    checkpoint = torch.load(run.last_checkpoint, weights_only=True)
    saved = load_file(run.best / "model.safetensors")
    name = "segmentation_head.weight"
    torch.testing.assert_close(saved[name], checkpoint["state_dict"][f"model.{name}"])
    assert not torch.allclose(saved[name], checkpoint["current_model_state"][f"model.{name}"], atol=1e-4)


def test_the_average_follows_its_definition(tiny, tmp_path):
    history = []

    class Note(Callback):
        def on_train_batch_end(self, _trainer, module, *_):
            history.append(module.model.segmentation_head.weight.detach().clone())

    run = RunDirectory(tmp_path)
    callbacks = run_callbacks(run, RunOptions(), seed=0, ema_decay=0.7, provenance={}, on_epoch=None)
    task = tiny.tiny_task()
    tiny.tiny_trainer(tmp_path, [Note(), *callbacks], 1).fit(task, datamodule=tiny.HalvesData())
    expected = history[0]
    for weight in history[1:]:
        expected = 0.7 * expected + 0.3 * weight
    torch.testing.assert_close(task.model.segmentation_head.weight.detach(), expected)


def test_the_best_bundle_is_of_the_best_epoch(tiny, tmp_path):
    """Scores are given, so that the second epoch is the best: neither the first nor the last."""
    given = iter([0.3, 0.6, 0.6, 0.5])

    class Given(EpochTable):
        def on_train_epoch_end(self, _trainer, module):  # before the bundle is saved
            module.scores.overall["miou"] = next(given)

    best = BestBundles(RunDirectory(tmp_path), RunOptions(), provenance={"encoder_weights": "x"})
    task = tiny.tiny_task()
    tiny.tiny_trainer(tmp_path, [Given(tmp_path / "t.csv"), best], 4).fit(task, datamodule=tiny.HalvesData())
    provenance = json.loads((tmp_path / "best" / "config.json").read_text())["provenance"]
    assert provenance == {"encoder_weights": "x", "epoch": 2, "val_miou": 0.6}
    bundle = load_bundle(tmp_path / "best")
    assert bundle.labels == task.labels
    assert [path.name for path in tmp_path.iterdir()] == ["best"], "nothing half-written is left"


def test_without_validation_the_last_weights_are_saved(tiny, tmp_path):
    class Unvalidated(tiny.HalvesData):
        def val_dataloader(self):
            return []

    best = BestBundles(RunDirectory(tmp_path), RunOptions())
    task = tiny.tiny_task()
    tiny.tiny_trainer(tmp_path, [best], 1).fit(task, datamodule=Unvalidated())
    saved = load_bundle(tmp_path / "best").model.state_dict()
    assert all(torch.equal(saved[name], tensor) for name, tensor in task.model.state_dict().items())


def test_the_table_has_a_row_per_epoch(tiny, tmp_path):
    told = []
    run, _, _ = fit(tiny, tmp_path, epochs=2, told=told)
    rows = read_table(run.metrics)
    assert list(rows[0])[:10] == [
        "epoch", "step", "train/loss", "lr", "val/loss", "val/miou", "seconds", "images_per_second", "data_wait",
        "memory_gb",
    ]  # fmt: skip
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 4), (2, 8)]
    assert all(row["val/iou/dark"] is not None and row["seconds"] > 0 for row in rows)
    assert rows[0]["images_per_second"] > 8 / rows[0]["seconds"], "validation is not training time"
    assert [row["epoch"] for row, *_ in told] == [1, 2]
    assert [epochs for _, epochs, _ in told] == [2, 2]
    assert told[0][2] == pytest.approx(told[0][0]["seconds"])
    assert told[1][2] == 0


def test_an_epoch_that_was_not_validated_has_empty_scores(tiny, tmp_path):
    run = RunDirectory(tmp_path)
    trainer = tiny.tiny_trainer(tmp_path, [EpochTable(run.metrics)], 3)
    trainer.check_val_every_n_epoch = 2
    trainer.fit(tiny.tiny_task(), datamodule=tiny.HalvesData())
    assert [row["val/miou"] is None for row in read_table(run.metrics)] == [True, False, True]


def test_a_table_is_read_as_it_was_written(tmp_path):
    rows = [{"epoch": 1, "val/iou/a, b": None, "lr": 1e-5}, {"epoch": 2, "val/iou/a, b": 0.25, "lr": 0.5}]
    write_table(tmp_path / "table.csv", rows)
    assert read_table(tmp_path / "table.csv") == rows
    assert read_table(tmp_path / "other.csv") == []
