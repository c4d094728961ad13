from functools import partial
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn
from torch.utils.data import DataLoader

from xseg.bundles.bundle import load_bundle
from xseg.files.serialization import from_plain
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.metrics.metric import confusion_matrix
from xseg.models.config import ModelConfig
from xseg.training.callbacks.assembly import run_callbacks
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.options.recipe import LossOptions, OptimizerOptions, ScheduleOptions
from xseg.training.options.run import RunOptions


def batch(tiny, **options):
    return next(iter(DataLoader(tiny.Halves(2, **options), batch_size=2)))


def test_ignored_pixels_change_no_gradient_and_no_score(tiny):
    """The labels of a quarter are ignored; whatever stands there, weights and scores move alike."""
    outcomes = []
    for value in (0, 1):
        task = tiny.tiny_task()
        data = batch(tiny)
        hidden = data["mask"].clone()
        hidden[:, 20:] = value
        data["mask"] = torch.where(torch.arange(33)[:, None] >= 20, 255, hidden)
        task.train()
        torch.manual_seed(1)
        loss = task.loss(task(data["image"]), data["mask"])
        loss.backward()
        task.eval()
        with torch.no_grad():
            prediction = task(data["image"]).argmax(1)
            task.counts.update(data["mask"], prediction)
        expected = confusion_matrix(data["mask"].numpy(), prediction.numpy(), classes=3, ignore_index=255)
        assert task.counts.compute().confusion == tuple(map(tuple, expected))
        assert expected.sum() == 2 * 18 * 33
        outcomes.append((loss.item(), [p.grad.clone() for p in task.parameters() if p.grad is not None]))
    assert outcomes[0][0] == outcomes[1][0]
    assert all(torch.equal(one, other) for one, other in zip(outcomes[0][1], outcomes[1][1], strict=True))


@pytest.mark.parametrize("weights", [None, (0.5, 1.0, 2.0)])
def test_a_batch_without_labels_moves_nothing(tiny, weights):
    task = tiny.tiny_task(class_weights=weights)
    data = batch(tiny, ignored=True)
    loss = task.loss(task(data["image"]), data["mask"])
    loss.backward()
    assert loss.item() == 0
    assert all(parameter.grad.abs().max() == 0 for parameter in task.parameters())


def test_class_weights_weigh(tiny):
    data = batch(tiny)
    task = tiny.tiny_task(class_weights=(1.0, 3.0, 1.0)).eval()
    logits = task(data["image"])
    expected = nn.functional.cross_entropy(logits, data["mask"], torch.tensor([1.0, 3.0, 1.0]), ignore_index=255)
    torch.testing.assert_close(task.loss(logits, data["mask"]), expected)


def test_it_learns_and_logs(tiny, tmp_path):
    task = tiny.tiny_task(batch_norm_momentum=0.3)
    trainer = tiny.tiny_trainer(tmp_path, epochs=8)
    trainer.fit(task, datamodule=tiny.HalvesData())
    measured = trainer.callback_metrics
    assert measured["val/miou"] > 0.8
    assert task.scores.overall["miou"] == pytest.approx(measured["val/miou"].item())
    assert {"val/iou/dark", "val/iou/bright"} <= set(measured)
    assert "val/iou/never" not in measured, "a class that is nowhere has no IoU"
    assert measured["train/loss"] < 1.0


def test_the_rates_follow_the_schedule_at_every_step(tiny, tmp_path):
    task = tiny.tiny_task(optimizer=OptimizerOptions(lr=1.0, encoder_lr=0.1))
    rates = []

    class Note(Callback):
        def on_train_batch_start(self, trainer, *_):
            rates.append({group["name"]: group["lr"] for group in trainer.optimizers[0].param_groups})

    tiny.tiny_trainer(tmp_path, [Note()], epochs=2).fit(task, datamodule=tiny.HalvesData())
    assert [rate["decoder"] for rate in rates] == pytest.approx([(1 - step / 8) ** 0.9 for step in range(8)])
    assert [rate["encoder"] for rate in rates] == pytest.approx([0.1 * rate["decoder"] for rate in rates])


def test_rates_follow_the_images_per_step_if_they_are_to(tiny, tmp_path):
    """Two accumulated batches of 2 against a reference of 16: a quarter of the rates."""
    optimizer = OptimizerOptions(lr=0.8, reference_batch=16)
    task = tiny.tiny_task(optimizer=optimizer, schedule=ScheduleOptions(power=0), batch_size=2)
    trainer = tiny.tiny_trainer(tmp_path, epochs=1)
    trainer.accumulate_grad_batches = 2
    trainer.fit(task, datamodule=tiny.HalvesData())
    assert task.lr_schedulers().base_lrs == pytest.approx([0.2] * len(trainer.optimizers[0].param_groups))


def test_a_frozen_encoder_moves_from_the_epoch_on_that_it_is_to(tiny, tmp_path):
    task = tiny.tiny_task(freeze_encoder_epochs=1, freeze_encoder_blocks=1)
    states = [{name: tensor.clone() for name, tensor in task.model.encoder.state_dict().items()}]

    class Note(Callback):
        def on_train_epoch_end(self, _trainer, module):
            states.append({name: tensor.clone() for name, tensor in module.model.encoder.state_dict().items()})

    tiny.tiny_trainer(tmp_path, [Note()], epochs=2).fit(task, datamodule=tiny.HalvesData())
    first, rested, moved = states
    assert all(torch.equal(rested[name], tensor) for name, tensor in first.items())
    assert any(not torch.equal(moved[name], first[name]) for name in first if name.endswith("weight"))
    assert all(torch.equal(moved[name], tensor) for name, tensor in first.items() if name.startswith("stem."))


def test_a_resting_encoder_gives_the_optimiser_nothing_even_if_gradients_reach_it(tiny, tmp_path):
    """As with several processes, where its gradients are computed: its moments stay untouched."""
    task = tiny.tiny_task(freeze_encoder_epochs=1)
    task.on_train_epoch_start = task.train
    kept = [parameter.detach().clone() for parameter in task.model.encoder.parameters()]
    trainer = tiny.tiny_trainer(tmp_path, epochs=1)
    trainer.fit(task, datamodule=tiny.HalvesData())
    parameters = list(task.model.encoder.parameters())
    assert all(torch.equal(one, other) for one, other in zip(kept, parameters, strict=True))
    assert not any(parameter in trainer.optimizers[0].state for parameter in parameters)


def test_an_auxiliary_head_is_trained_along_and_not_saved(tiny, tmp_path):
    plain, task = tiny.tiny_task(), tiny.tiny_task(loss=LossOptions(auxiliary=0.4))
    before = task.auxiliary.scores.weight.detach().clone()
    callbacks = run_callbacks(RunDirectory(tmp_path), RunOptions(), seed=0, ema_decay=0.9)
    tiny.tiny_trainer(tmp_path, callbacks, 1).fit(task, datamodule=tiny.HalvesData())
    assert not torch.equal(task.auxiliary.scores.weight, before)
    assert set(load_bundle(tmp_path / "best").model.state_dict()) == set(plain.model.state_dict())


def test_an_auxiliary_head_adds_its_share_to_the_loss_and_to_the_encoders_gradient(tiny):
    data, losses, gradients = batch(tiny), [], []
    for weight in (0.0, 0.4):
        task = tiny.tiny_task(loss=LossOptions(auxiliary=weight), dropout=0)
        task.log = task.log_dict = lambda *_, **__: None
        task._trainer = SimpleNamespace(global_step=0, current_epoch=0, optimizers=[], world_size=1)
        task.train()
        if task.auxiliary is not None:
            task.auxiliary.dropout.p = 0.0
        loss = task.training_step(data, 0)
        loss.backward()
        losses.append(loss.item())
        gradients.append(task.model.encoder.stem.conv1.conv.weight.grad)
    assert losses[1] > losses[0] + 0.1
    assert not torch.allclose(*gradients)


def test_a_checkpoint_says_what_it_is_of_in_plain_values(tiny, tmp_path):
    task = tiny.tiny_task(identity={"data": {"records": 8}})
    run = RunDirectory(tmp_path)
    tiny.tiny_trainer(tmp_path, run_callbacks(run, RunOptions(), seed=0), 1).fit(task, datamodule=tiny.HalvesData())
    state = torch.load(run.last_checkpoint, weights_only=True)["xseg"]
    assert from_plain(ModelConfig, state["model"], "model") == task.model.config
    assert LabelMap.from_dict(state["labels"]) == task.labels
    assert Normalization(**state["normalization"]) == task.normalization
    assert state["data"] == {"records": 8}


def test_the_loss_of_a_validation_does_not_depend_on_which_images_share_a_batch(tiny, tmp_path):
    losses = []
    for size in (1, 3):
        trainer = tiny.tiny_trainer(tmp_path)
        trainer.validate(tiny.tiny_task(), DataLoader(tiny.Halves(3), batch_size=size), verbose=False)
        losses.append(trainer.callback_metrics["val/loss"].item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_compiled_network_learns_the_same(tiny, tmp_path, monkeypatch):
    """Traced as ever, but without generating code for the graphs, which takes minutes."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    losses = []
    for compiled in (False, True):
        task = tiny.tiny_task(compile=compiled, dropout=0)
        trainer = tiny.tiny_trainer(tmp_path, epochs=1)
        trainer.fit(task, datamodule=tiny.HalvesData())
        losses.append(trainer.callback_metrics["train/loss"].item())
    assert set(task.state_dict()) == set(tiny.tiny_task().state_dict())
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize("batch_norm", ["train", "frozen"])
def test_frozen_normalisation_keeps_its_statistics_but_learns_its_scale(tiny, tmp_path, batch_norm):
    task = tiny.tiny_task(batch_norm=batch_norm)
    layers = [module for module in task.model.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    new = [module for module in task.model.decoder.modules() if isinstance(module, nn.BatchNorm2d)]
    statistics = [layer.running_mean.clone() for layer in layers]
    scales = [layer.weight.detach().clone() for layer in layers]
    tiny.tiny_trainer(tmp_path, epochs=1).fit(task, datamodule=tiny.HalvesData())
    kept = [torch.equal(layer.running_mean, mean) for layer, mean in zip(layers, statistics, strict=True)]
    assert (all if batch_norm == "frozen" else lambda values: not any(values))(kept)
    assert all(layer.running_mean.abs().sum() > 0 for layer in new)  # they have nothing worth keeping
    assert not any(torch.equal(layer.weight, scale) for layer, scale in zip(layers, scales, strict=True))


def test_channels_last_reaches_the_weights_and_the_images(tiny):
    task = tiny.tiny_task(channels_last=True)
    kernels = [m.weight for m in task.model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    seen = []
    task.model.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    task(torch.randn(1, 3, 33, 33))
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
