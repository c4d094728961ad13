import pytest
import torch
from lightning.pytorch import Callback
from torch import nn
from torch.utils.data import DataLoader

from xseg.metrics.confusion import confusion_matrix
from xseg.training.recipe import OptimizerOptions


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
            task.confusion.update(prediction, data["mask"])
        expected = confusion_matrix(data["mask"].numpy(), prediction.numpy(), classes=3, ignore_index=255)
        assert (task.confusion.compute().numpy() == expected).all()
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
    assert task.scores.miou == pytest.approx(measured["val/miou"].item())
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
