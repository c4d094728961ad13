"""xseg.train: what it takes, what it leaves, and what it says."""

import gc
import json
import os
import signal
import threading

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from torch import nn

import xseg
from xseg.cli import main
from xseg.errors import ConfigError, DataError, WeightsError
from xseg.files.objects import plain_values
from xseg.metrics.metric import Metric

SMALL = {"encoder": "xception", "width": 0.125, "decoder_channels": 8, "depth": 3, "output_stride": 8}
SCENES = {
    "reader": "scenes",
    "layout": {"scenes": {"size": [33, 48], "counts": [4, 2, 2]}},
    "crop": [33, 48],
    "batch_size": 2,
    "workers": 0,
}
CPU = {"accelerator": "cpu"}


def arrays(count, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 256, (33, 40, channels), np.uint8) for _ in range(count)]
    return images, [(image[..., 0] > 127).astype(np.uint8) for image in images]


def halves(**options):
    parts = {"train": arrays(4), "val": arrays(2, seed=1), "classes": ["dark", "bright"]}
    return {**parts, "crop": [33, 40], "batch_size": 2, "workers": 0, **options}


class Net(nn.Module):
    """A whole model, at half the resolution, for two classes."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))

    def forward(self, images):
        return self.layers(images)


def train(folder, **given):
    return xseg.train(**{"output_dir": folder, "max_epochs": 1, "trainer": CPU, "quiet": True, **given})


def weights(folder):
    return torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]


def same_weights(one, other):
    ours, theirs = weights(one), weights(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_options_train_what_the_command_line_trains(tmp_path, capsys):
    run = train(tmp_path / "python", data=SCENES, model=SMALL, run={"pictures": 0}, seed=3)
    assert capsys.readouterr().out == ""
    config = run.config
    assert main(["train", "--config", str(run.path / "config.yaml"), "--output_dir", str(tmp_path / "shell")]) == 0
    assert same_weights(tmp_path / "python", tmp_path / "shell")
    assert {**config, "output_dir": ""} == {**xseg.Run(tmp_path / "shell").config, "output_dir": ""}
    assert {path.name for path in run.path.iterdir()} == {path.name for path in (tmp_path / "shell").iterdir()}
    assert config["run"]["pictures"] == 0
    assert config["seed_everything"] == 3


def test_a_file_and_a_whole_configuration_are_options_too(tmp_path):
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(SCENES))
    (tmp_path / "all.yaml").write_text(yaml.safe_dump({"data": SCENES, "model": SMALL, "trainer": CPU}))
    train(tmp_path / "part", data=tmp_path / "data.yaml", model=SMALL)
    train(tmp_path / "section", data=str(tmp_path / "all.yaml"), model=SMALL)
    train(tmp_path / "whole", config=tmp_path / "all.yaml", trainer=None)
    assert same_weights(tmp_path / "part", tmp_path / "section")
    assert same_weights(tmp_path / "part", tmp_path / "whole")


def test_the_run_knows_its_epochs_and_its_best_one(tmp_path):
    run = train(tmp_path / "run", data=SCENES, model=SMALL, max_epochs=2)
    assert [row["epoch"] for row in run.history] == [1, 2]
    scores = [row["val/miou"] for row in run.history]
    assert run.best.score == max(scores)
    assert run.best.epoch == 1 + scores.index(max(scores))
    assert xseg.Run(str(tmp_path / "run")).best == run.best
    with pytest.raises(ConfigError, match=r"has no config\.yaml; expected a run directory"):
        xseg.Run(tmp_path)
    assert str(tmp_path / "run") in repr(run)
    evaluation = run.evaluate("test", quiet=True)
    assert len(evaluation.images) == 2
    written = json.loads((run.path / "evaluation" / "test" / "metrics.json").read_text())
    assert written["miou"] == evaluation.scores.overall["miou"]
    assert run.predictor().labels.names == evaluation.labels.names
    page = run._repr_html_()
    assert page.count("<tr>") == 3
    assert f"epochs 2, best {run.best.epoch}" in page


def test_a_classifier_trains_too(tmp_path):
    for split in ("train", "val"):
        for name, value in {"dark": 40, "bright": 200}.items():
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for index in range(2):
                image = np.full((40, 40, 3), value + index, np.uint8)
                Image.fromarray(image).save(tmp_path / "data" / split / name / f"{index}.png")
    data = {"root": str(tmp_path / "data"), "size": 33, "batch_size": 2, "workers": 0}
    run = train(tmp_path / "run", task="classification", data=data, model={"encoder": "xception", "width": 0.125})
    assert run.best.score == run.history[0]["val/accuracy"]
    with pytest.raises(ConfigError, match="is the run of a classifier; expected segmentation"):
        run.evaluate()


def half_dice(logits, mask):
    return logits.float().mean() * 0 + 0.5


class Smooth(nn.Module):
    def forward(self, logits, _mask):
        return logits.square().mean()


class Brightness(Metric):
    name = "brightness"

    def overall(self, counts):
        return float(counts[:, 1].sum() / counts.sum())


class Counting(Callback):
    steps = 0

    def on_train_batch_end(self, *_arguments):
        self.steps += 1


def test_everything_of_ones_own_is_an_object(tmp_path):
    counting, logger = Counting(), CSVLogger(tmp_path, name="logs")
    run = train(
        tmp_path / "run",
        data=halves(),
        model={**SMALL, "loss": {"label_smoothing": 0.1}},
        loss={"cross_entropy": 0.5, "label_smoothing": 0.1, Smooth(): 0.1, half_dice: {"weight": 2}},
        metrics=[Brightness, "f1"],
        augmentation=[lambda image, mask: (image[:, ::-1].copy(), mask[:, ::-1].copy())],
        optimizer=lambda groups, lr: torch.optim.RMSprop(groups, lr=lr),
        callbacks=[counting],
        loggers=[logger],
    )
    assert counting.steps == 2
    assert list((tmp_path / "logs").rglob("metrics.csv"))
    assert 0 <= run.history[0]["val/brightness"] <= 1
    assert "brightness" in run.evaluate(quiet=True, overwrite=True).scores.overall
    config = run.config
    terms = config["model"]["loss"]["terms"]
    assert [name.rpartition(":")[2].rpartition(".")[2] for name in terms] == ["Smooth", "half_dice"]
    assert config["model"]["optimizer"]["name"] == "python:<lambda>"
    assert config["trainer"]["callbacks"] == ["python:Counting"]
    assert config["trainer"]["logger"] == ["python:CSVLogger"]


def test_masks_with_a_band_per_class_train_overlapping_classes_with_ones_own_loss(tmp_path):
    shapes = []

    def loss(logits, mask, ignore_index):
        shapes.append((logits.shape, mask.shape))
        known = mask != ignore_index
        return nn.functional.binary_cross_entropy_with_logits(logits[known], mask[known].float())

    def bands(count, seed):
        images, masks = arrays(count, seed=seed)
        return images, [np.stack([mask, np.roll(mask, 9, 1), 255 * mask], axis=2) for mask in masks]

    data = {"train": bands(4, 0), "val": bands(2, 1), "classes": ["a", "b", "c"], "crop": [33, 40], "batch_size": 2}
    run = train(tmp_path / "run", data={**data, "workers": 0}, model=SMALL, task="multilabel", loss=loss)
    assert shapes[0] == ((2, 3, 33, 40), (2, 3, 33, 40))
    assert run.history[-1]["val/iou/a"] is not None
    assert run.history[-1]["val/iou/c"] in (None, 0)
    with pytest.raises(ConfigError, match="task=segmentation with overlapping classes; expected task multilabel"):
        train(tmp_path / "other", data=data, model=SMALL)


def test_a_single_loss_is_the_only_one(tmp_path):
    for name, loss in {"named": "dice", "own": half_dice}.items():
        options = train(tmp_path / name, data=halves(), model=SMALL, loss=loss).config["model"]["loss"]
        assert options["cross_entropy"] == 0
        assert options["dice"] == (name == "named")


def test_a_module_is_trained_as_a_copy_and_loads_where_it_is_given(tmp_path):
    net = Net()
    before = [tensor.clone() for tensor in net.state_dict().values()]
    run = train(tmp_path / "run", data=halves(), model=net, optimizer={"lr": 0.1})
    assert all(torch.equal(one, other) for one, other in zip(before, net.state_dict().values(), strict=True))
    image = arrays(1)[0][0]
    probabilities = run.predictor()(image).probabilities
    assert probabilities.shape == (2, 33, 40)
    path, expected = run.path, run.best.epoch
    del run, net
    gc.collect()
    with pytest.raises(WeightsError, match=r"names python:Net, an object of the Python session that wrote it"):
        xseg.load(path)
    again = xseg.load(path, architecture=Net())
    np.testing.assert_array_equal(again(image).probabilities, probabilities)
    assert xseg.Run(path).best.epoch == expected
    assert xseg.evaluate(path, data=halves(), architecture=Net(), overwrite=True, quiet=True).scores.overall


def test_a_module_with_other_outputs_is_one_line(tmp_path):
    with pytest.raises(xseg.XsegError, match=r"returns logits of shape \[2, 2, 17, 20\]; expected \(N, 3, "):
        train(tmp_path / "run", data={**halves(), "classes": ["a", "b", "c"]}, model=Net())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("architecture", ["deeplabv3plus", "unet"])
def test_an_encoder_is_an_object(tmp_path, architecture):
    encoder = xseg.create_encoder("xception", width=0.125, depth=3, output_stride=8)
    model = {"architecture": architecture, "depth": 3, "output_stride": 8, "decoder_channels": 8}
    run = train(tmp_path / "run", data=halves(), model=model, encoder=encoder)
    image = arrays(1)[0][0]
    probabilities = run.predictor()(image).probabilities
    path = run.path
    del run
    np.testing.assert_array_equal(xseg.load(path, encoder=encoder)(image).probabilities, probabilities)
    with pytest.raises(ConfigError, match=r"output_stride=16 with your own encoder python:[\w:]+; expected 8"):
        train(tmp_path / "other", data=halves(), model={**model, "output_stride": 16}, encoder=encoder)


def test_an_interrupted_cell_is_resumed_by_the_same_call(tmp_path, capsys):
    class Interrupt(Callback):
        def on_train_batch_end(self, trainer, *_arguments):
            if trainer.global_step == 3:
                os.kill(os.getpid(), signal.SIGINT)

    given = {
        "data": halves(crop=[33, 33]),
        "model": SMALL,
        "max_epochs": 3,
        "loss": {"cross_entropy": 1, Smooth(): 0.1},
    }
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", **given, callbacks=[Interrupt()])
    assert signal.getsignal(signal.SIGINT) is handler
    assert "resume with: the same call and resume='auto'" in capsys.readouterr().err
    again = {**given, "loss": {"cross_entropy": 1, Smooth(): 0.1}}  # the cell made another object
    run = train(tmp_path / "run", **again, resume="auto", quiet=False)
    assert "after step 3" in capsys.readouterr().out
    assert [row["epoch"] for row in run.history] == [1, 2, 3]
    train(tmp_path / "whole", **given)
    assert same_weights(tmp_path / "run", tmp_path / "whole")


def test_a_shell_cannot_resume_with_objects_that_it_does_not_have(tmp_path, capsys):
    run = train(tmp_path / "run", data=halves(), model=SMALL, loss=Smooth())
    config, path = run.path / "config.yaml", run.path
    del run
    gc.collect()  # another process would not have them
    arguments = ["--config", str(config), "--resume", str(path / "last.ckpt")]
    for verb in (["train", *arguments], ["evaluate", str(path)], ["data", "check", "--config", str(config)]):
        assert main(verb) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "an object of the Python session that wrote it; expected an object that a file holds" in error


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"model": {"encodr": "xception"}},
            ConfigError,
            r"^unknown option 'model.encodr'; did you mean 'model.encoder'",
        ),
        ({"model": {**SMALL, "width": "wide"}}, ConfigError, "^model.width=wide; expected float"),
        ({"data": {**SCENES, "crp": 3}}, ConfigError, r"unknown option 'data.crp'"),
        ({"data": "nowhere.yaml"}, ConfigError, "configuration 'nowhere.yaml' cannot be read: No such file"),
        ({"loss": "dicee"}, ConfigError, r"unknown option 'model.loss.dicee'; did you mean 'model.loss.dice'"),
        ({"optimizer": "adam"}, ConfigError, "optimizer.name='adam'; expected one of adamw, sgd"),
        ({"optimizer": nn.ReLU}, ConfigError, "a subclass of torch's Optimizer, or a function that returns one"),
        (
            {"optimizer": lambda _groups, **_options: 5},
            ConfigError,
            "returned int; expected a subclass of",
        ),
        (
            {"model": {}, "encoder": nn.ReLU()},
            ConfigError,
            "encoder python:ReLU is ReLU; expected a torch.nn.Module",
        ),
        ({"metrics": [nn.ReLU]}, ConfigError, "expected a subclass of xseg.metrics.metric.Metric"),
        ({"data": {"train": ([], [1])}}, DataError, r"data\['train'\] is a tuple of 0 and 1 items"),
        ({"data": {"train": ([], []), "classes": ["a"]}}, DataError, "the first item of data raised IndexError"),
        ({"data": {"train": [1], "classes": ["a"]}}, DataError, "the first item of data raised TypeError"),
        ({"data": {"train": arrays(2), "classes": ["a", "b"]}}, DataError, "has no split 'val'; expected one of train"),
        ({"data": {"train": arrays(2), "val": arrays(2)}}, DataError, "class names"),
        ({"resume": "auto", "overwrite": True}, ConfigError, "both resume and overwrite"),
        ({"max_epochs": "many"}, ConfigError, "trainer.max_epochs=many; expected int"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, given, error, message):
    with pytest.raises(error, match=message) as caught:
        train(tmp_path / "run", **{"data": SCENES, "model": SMALL, **given})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_it_runs_in_a_thread(tmp_path):
    runs = []
    thread = threading.Thread(target=lambda: runs.append(train(tmp_path / "run", data=SCENES, model=SMALL)))
    thread.start()
    thread.join()
    assert runs[0].best.epoch == 1


def test_every_kind_of_object_in_options_becomes_a_class_path():
    own = Net()
    values = plain_values({own: (1, 2.5, None, True), "path": [np.float32(0.5), np.int64(2)], nn.ReLU: torch.relu})
    assert values["path"] == [0.5, 2]
    assert values["torch.nn.modules.activation.ReLU"] == "python:relu"
    assert json.loads(json.dumps(values))
    assert [key for key in values if key.startswith("python:")] == ["python:Net"]
    assert plain_values(own) == "python:Net"
    assert plain_values(Net()) == "python:2:Net"
