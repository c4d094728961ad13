"""Training a classifier from the command line, end to end on tiny pictures."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from torch.testing import assert_close

import xseg
from xseg.api.train_options import asked_task, build_parser, parse_request
from xseg.api.trainer_options import parse_trainer
from xseg.bundles.bundle import load_bundle
from xseg.cli import train
from xseg.errors import ConfigError, DataError, WeightsError
from xseg.training.classification import ClassificationTask

CONFIGS = Path(__file__).parents[2] / "configs" / "classification"
SMALL = ["--model.width", "0.125", "--data.size", "40", "--data.workers", "0", "--data.batch_size", "4"]
QUICK = ["--model.optimizer.name", "adamw", "--model.optimizer.lr", "0.003", "--model.batch_norm_momentum", "0.5"]
HERE = [
    "--task",
    "classification",
    "--trainer.accelerator",
    "cpu",
    "--model.ema_decay",
    "null",
    "--data.scale",
    "[0.5, 1.0]",
]


def arguments(root, run, *more, epochs=2):
    where = ["--data.root", str(root), "--output_dir", str(run), "--trainer.max_epochs", str(epochs)]
    return [*SMALL, *QUICK, *HERE, *where, *more]


def table(run):
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def last_weights(run):
    return torch.load(run / "last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, make_folders):
    folder = tmp_path_factory.mktemp("trained")
    make_folders(folder / "data", train=8, val=4)
    assert xseg.cli.main(["train", *arguments(folder / "data", folder / "run", epochs=6)]) == 0
    return folder


def test_it_learns_what_colour_tells(trained):
    rows = table(trained / "run")
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 7)]
    assert float(rows[-1]["train/loss"]) < float(rows[0]["train/loss"])
    assert max(float(row["val/accuracy"]) for row in rows) == 1.0


def test_the_run_holds_what_a_run_holds(trained):
    run = trained / "run"
    names = {"best", "config.yaml", "environment.json", "last.ckpt", "metrics.csv", "report.html"}
    assert names <= {path.name for path in run.iterdir()}
    environment = json.loads((run / "environment.json").read_text())
    assert environment["data"]["train"]["records"] == 16
    page = (run / "report.html").read_text()
    assert page.count("<svg") == 3, "accuracy, loss and learning rate"
    assert "blue predicted as blue: 100.0 % (4 images)" in page


def test_the_best_classifier_says_all_that_its_numbers_mean(trained):
    bundle = load_bundle(trained / "run" / "best", "classification")
    assert bundle.labels.names == ("blue", "red")
    assert bundle.preprocessing == {"size": 40, "resize": 46, "fit": "crop", "interpolation": "linear"}
    assert bundle.provenance["val_accuracy"] == 1.0
    blue = torch.tensor([20, 40, 220]).view(1, 3, 1, 1).expand(1, 3, 40, 40) / 127.5 - 1
    assert bundle.model(blue).argmax(1).item() == 0
    assert json.loads((trained / "run" / "best" / "config.json").read_text())["task"] == "classification"


def test_the_configuration_it_wrote_makes_the_same_training(trained, tmp_path):
    run = tmp_path / "again"
    written = ["--config", str(trained / "run" / "config.yaml"), "--output_dir", str(run)]
    assert parse_request(written).model == parse_request(arguments(trained / "data", run)).model
    assert yaml.safe_load((trained / "run" / "config.yaml").read_text())["task"] == "classification"
    train.main([*written, "--trainer.max_epochs", "1"])
    first = table(trained / "run")[0]
    # the schedule ends elsewhere, the first batch's loss does not depend on it
    assert float(table(run)[0]["train/loss"]) == pytest.approx(float(first["train/loss"]), rel=0.05)


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(folders, tmp_path):
    same = ["--model.schedule.name", "constant"]
    train.main(arguments(folders, tmp_path / "whole", *same, epochs=3))
    train.main(arguments(folders, tmp_path / "parts", *same, epochs=1))
    resume = ["--resume", str(tmp_path / "parts" / "last.ckpt")]
    train.main(arguments(folders, tmp_path / "parts", *same, *resume, epochs=3))
    assert_close(last_weights(tmp_path / "parts"), last_weights(tmp_path / "whole"), rtol=0, atol=0)
    assert timeless(tmp_path / "parts") == timeless(tmp_path / "whole")


def timeless(run):
    return [
        {name: cell for name, cell in row.items() if name in ("epoch", "step", "lr") or "/" in name}
        for row in table(run)
    ]


def stop_before_step(patch, step):
    """Send the signal of a scheduler while this step's batch is computed; the training stops after the step."""
    compute = ClassificationTask.training_step

    def stopping(task, batch, index):
        if task.global_step + 1 == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return compute(task, batch, index)

    patch.setattr(ClassificationTask, "training_step", stopping)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_stopped_inside_an_epoch_resumes_after_the_same_batch(folders, tmp_path, monkeypatch, workers):
    few = ["--data.batch_size", "2", "--data.workers", str(workers), "--model.ema_decay", "0.9"]
    train.main(arguments(folders, tmp_path / "whole", *few))
    with monkeypatch.context() as patch:
        stop_before_step(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train.main(arguments(folders, tmp_path / "parts", *few))
    assert torch.load(tmp_path / "parts" / "last.ckpt", weights_only=True)["global_step"] == 2
    assert not (tmp_path / "parts" / "metrics.csv").exists(), "the first epoch has four steps"
    train.main(arguments(folders, tmp_path / "parts", *few, "--resume", "auto"))
    assert timeless(tmp_path / "parts") == timeless(tmp_path / "whole")
    assert_close(last_weights(tmp_path / "parts"), last_weights(tmp_path / "whole"), rtol=0, atol=0)
    saved = [load_file(tmp_path / run / "best" / "model.safetensors") for run in ("parts", "whole")]
    assert_close(*saved, rtol=0, atol=0)


def test_a_training_resumed_without_improvement_still_reports_the_best_epoch(trained, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(trained / "run", run)
    (run / "report.html").unlink()
    best = (run / "best" / "model.safetensors").read_bytes()
    train.main(arguments(trained / "data", run, "--resume", str(run / "last.ckpt"), epochs=7))
    assert (run / "best" / "model.safetensors").read_bytes() == best, "no share of right images is above 1"
    assert "blue predicted as blue: 100.0 % (4 images)" in (run / "report.html").read_text()
    assert "best accuracy: 1.0000" in capsys.readouterr().out


OLD_GROUPS = {"last": "head", "last/bias": "head/without_decay"}


def in_the_first_form(checkpoint):
    """Return a checkpoint as the first version of classification wrote it: Lightning's parts alone, groups reversed."""
    old = {name: value for name, value in checkpoint.items() if name not in ("xseg", "ClassificationData")}
    callbacks = checkpoint["callbacks"]
    old["callbacks"] = {
        "BestClassifier": {"accuracy": callbacks["BestBundles"]["best"]},
        "ClassifierAverage": callbacks["ExponentialMovingAverage"],
    }
    (optimizer,) = old["optimizer_states"]
    groups = [{**group, "name": OLD_GROUPS.get(group["name"], group["name"])} for group in optimizer["param_groups"]]
    old["optimizer_states"] = [{**optimizer, "param_groups": groups[::-1]}]
    (schedule,) = old["lr_schedulers"]
    rates = {name: schedule[name][::-1] for name in ("base_lrs", "_last_lr")}
    old["lr_schedulers"] = [{**schedule, **rates}]
    return old


def test_a_checkpoint_of_the_first_classification_resumes_after_the_same_batch(folders, tmp_path, monkeypatch):
    """Real ones, of a run stopped inside an epoch and of one stopped at its end, were resumed bit for bit."""
    few = ["--data.batch_size", "2", "--model.ema_decay", "0.9", "--model.optimizer.encoder_lr", "0.001"]
    train.main(arguments(folders, tmp_path / "whole", *few))
    run = tmp_path / "parts"
    with monkeypatch.context() as patch:
        stop_before_step(patch, 6)
        with pytest.raises(KeyboardInterrupt):
            train.main(arguments(folders, run, *few))
    old = in_the_first_form(torch.load(run / "last.ckpt", weights_only=True))
    torch.save(old, run / "last.ckpt")
    train.main(arguments(folders, run, *few, "--resume", "auto"))
    assert_close(last_weights(run), last_weights(tmp_path / "whole"), rtol=0, atol=0)
    scores = [[row["val/loss"] for row in timeless(each)] for each in (run, tmp_path / "whole")]
    assert scores[0] == scores[1]
    alone = tmp_path / "alone" / "last.ckpt"
    alone.parent.mkdir()
    torch.save(old, alone)
    with pytest.raises(WeightsError, match="first format of classification, and its run cannot") as error:
        train.main(arguments(folders, tmp_path / "new", *few, "--resume", str(alone)))
    assert "\n" not in str(error.value)


def test_a_checkpoint_of_another_task_is_refused(folders, tmp_path):
    torch.save({"xseg": {"model": {}}, "state_dict": {}, "global_step": 1}, tmp_path / "last.ckpt")
    with pytest.raises(WeightsError, match="has the task segmentation; expected classification"):
        train.main(arguments(folders, tmp_path / "run", "--resume", str(tmp_path / "last.ckpt")))


@pytest.mark.slow
def test_two_processes_train_one_classifier(folders, forks, tmp_path):
    """With the statistics of normalisation shared, two batches of two are one of four."""
    runs = {1: tmp_path / "one", 2: tmp_path / "two"}
    exact = ["--trainer.precision", "64-true", "--trainer.sync_batchnorm", "true", "--model.dropout", "0"]
    exact += ["--model.optimizer.name", "sgd", "--model.optimizer.lr", "0.1"]
    for count, run in runs.items():
        given = ["train", *arguments(folders, run, *exact, "--data.batch_size", str(4 // count))]
        processes = [forks.start(*given)] if count == 1 else forks.start_together(count, *given)
        assert [forks.wait(process) for process in processes] == [0] * count, forks.log.read_text()[-3000:]
    rows = [
        [
            float(row[name])
            for row in table(run)
            for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy")
        ]
        for run in runs.values()
    ]
    assert rows[1] == pytest.approx(rows[0], rel=1e-6)
    assert "100.0 %" in (runs[2] / "report.html").read_text()


def test_the_average_of_the_weights_is_what_is_kept(folders, tmp_path):
    """With a decay of nearly 1 the average stays where the first step, of at most the rate, has led."""
    run = tmp_path / "run"
    average = ["--model.ema_decay", "0.999999"]
    train.main(arguments(folders, run, *average, "--model.schedule.name", "constant"))
    began = parse_request(arguments(folders, run)).model
    from lightning.pytorch import seed_everything

    from xseg.training.classification import build_classifier

    seed_everything(0, verbose=False)
    start = build_classifier(began, classes=2, in_channels=3)
    kept = load_file(run / "best" / "model.safetensors")
    assert_close(kept["head.weight"], start.head.weight.detach(), rtol=0, atol=0.0031)
    trained = torch.load(run / "last.ckpt", weights_only=True)["current_model_state"]["model.head.weight"]
    assert (trained - start.head.weight).abs().max() > 0.006


def test_fine_tuning_starts_from_an_encoder_and_a_new_head(trained, tmp_path):
    run = tmp_path / "tuned"
    slow = ["--model.optimizer.encoder_lr", "0.0", "--model.encoder_weights", str(trained / "run")]
    train.main(arguments(trained / "data", run, *slow, epochs=1))
    before, after = (load_file(path / "best" / "model.safetensors") for path in (trained / "run", run))
    kernel = "encoder.blocks.5.convs.1.pointwise.weight"
    assert_close(after[kernel], before[kernel], rtol=0, atol=0)
    assert not torch.equal(after["head.weight"], before["head.weight"])


def test_a_broken_image_stops_before_training_unless_it_is_left_out(folders, tmp_path, capsys):
    (folders / "train" / "red" / "zz.jpg").write_text("not a picture")
    with pytest.raises(DataError, match=r"1 broken image, the first: .*zz.jpg is not an image.*skip_broken"):
        train.main(arguments(folders, tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    train.main(arguments(folders, tmp_path / "run", "--data.skip_broken", "true", epochs=1))
    told = capsys.readouterr()
    assert "left out 1 broken image" in told.out
    assert "8 training and 4 validation images" in told.out


def test_held_out_images_are_told(folders, tmp_path, capsys):
    train.main(arguments(folders / "train", tmp_path / "run", epochs=1))
    assert "6 training and 2 validation (held out) images, 2 classes: blue, red" in capsys.readouterr().out


def test_odd_images_train(folders, tmp_path):
    red = folders / "train" / "red"
    with Image.open(red / "0.png") as picture:
        picture.convert("CMYK").save(red / "cmyk.jpg")
        picture.convert("P").save(red / "palette.gif")
    assert train.main(arguments(folders, tmp_path / "run", epochs=1)) == 0


def test_sixteen_bit_images_train_and_are_drawn(folders, tmp_path):
    for path in folders.rglob("*.png"):
        Image.fromarray(np.full((40, 44), 50_000 if "red" in path.parts else 9_000, np.uint16)).save(path)
    assert train.main(arguments(folders, tmp_path / "run", epochs=1)) == 0
    assert load_bundle(tmp_path / "run" / "best", "classification").normalization.maximum == 65_535


def test_a_checkpoint_of_another_classifier_is_refused(folders, trained, tmp_path):
    other = ["--model.fully_connected", "[8]", "--resume", str(trained / "run" / "last.ckpt")]
    with pytest.raises(WeightsError, match=r"belongs to another model: fully_connected=\(\); expected \(8,\)"):
        train.main(arguments(folders, tmp_path / "run", *other))


def test_an_older_run_is_not_overwritten_unasked(trained):
    with pytest.raises(ConfigError, match="is not empty"):
        train.main(arguments(trained / "data", trained / "run"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--model.widht", "1"], "did you mean 'model.width'"),
        (["--model.optimizer.lr", "fast"], "model.optimizer.lr=fast; expected float"),
        (["--model.start_from", "run"], "unknown option 'model.start_from'"),
        (["--resume", "nowhere.ckpt"], "resume=nowhere.ckpt does not exist"),
        (["--seed_everything", "-1"], "seed_everything=-1"),
    ],
)
def test_a_wrong_option_is_named(wrong, message):
    with pytest.raises(ConfigError, match=message):
        parse_request(["--task", "classification", *wrong])


def test_a_wrong_task_and_a_wrong_argument_of_the_trainer_are_named():
    with pytest.raises(ConfigError, match="task=detection; expected one of segmentation, multilabel, classification"):
        parse_request(["--task", "detection"])
    with pytest.raises(ConfigError, match=r"trainer.max_epoch'; did you mean 'trainer.max_epochs'"):
        parse_trainer(["--task", "classification", "--trainer.max_epoch", "0"])


@pytest.mark.parametrize(
    ("arguments", "task"),
    [
        ([], "segmentation"),
        (["--task", "classification"], "classification"),
        (["--task=classification"], "classification"),
        (["--task", "segmentation", "--config", "{classify}"], "segmentation"),
        (["--config", "{classify}"], "classification"),
        (["--config={classify}"], "classification"),
        (["--config", "{classify}", "--config", "{segment}"], "segmentation"),
        (["--config", "{plain}"], "segmentation"),
    ],
)
def test_the_last_word_on_the_task_counts(arguments, task, tmp_path):
    files = {"classify": "task: classification", "segment": "task: segmentation", "plain": "model: {}"}
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    paths = {name: tmp_path / f"{name}.yaml" for name in files}
    assert asked_task([argument.format(**paths) for argument in arguments]) == task


@pytest.mark.parametrize("trainer", ["cpu", "gpu"])
def test_the_trainer_fragments_are_those_of_segmentation_too(trainer):
    files = [CONFIGS / "folders_small.yaml", CONFIGS.parent / "trainer" / f"{trainer}.yaml"]
    request = parse_request([argument for file in files for argument in ("--config", str(file))])
    assert request.model.channels_last
    assert request.data.cache


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_is_one(file, folders):
    given = ["--config", str(file), "--data.root", str(folders)]
    request = parse_request(given)
    assert request.task == "classification"
    assert parse_trainer(given)[0]["max_epochs"] > 0
    with torch.device("meta"):
        model = xseg.create_classifier(request.model.encoder, fully_connected=request.model.fully_connected, classes=2)
    assert sum(parameter.numel() for parameter in model.parameters()) > 1e6


def test_the_recipes_are_the_papers():
    """Chollet 2017, section 4.3."""
    model = parse_request(["--config", str(CONFIGS / "xception_imagenet.yaml")]).model
    optimizer, schedule = model.optimizer, model.schedule
    assert (optimizer.name, optimizer.lr, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.045, 0.9, 1e-5)
    assert (schedule.name, schedule.decay, schedule.decay_epochs) == ("exponential", 0.94, 2)
    model = parse_request(["--config", str(CONFIGS / "xception_jft.yaml")]).model
    optimizer, schedule = model.optimizer, model.schedule
    assert (optimizer.name, optimizer.lr, optimizer.momentum) == ("rmsprop", 0.001, 0.9)
    assert optimizer.options == {"eps": 1.0}, "TF slim's on ImageNet, which PyTorch's 1e-8 would make diverge"
    assert (schedule.name, schedule.decay, schedule.decay_samples) == ("exponential", 0.9, 3_000_000)
    assert (model.dropout, model.fully_connected) == (0.0, (4096, 4096))


def test_help_lists_the_options_of_the_task(capsys):
    assert train.main(["--task", "classification", "--help"]) == 0
    assert "--model.label_smoothing" in capsys.readouterr().out
    assert build_parser("classification").get_defaults().task == "classification"
