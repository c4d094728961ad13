"""Training a classifier from the command line, end to end on tiny pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from torch.testing import assert_close

import xseg
from xseg.bundles.bundle import load_bundle
from xseg.cli import classify, classify_options
from xseg.cli.classify_options import asks_for_classification, build_parser, parse_request
from xseg.errors import ConfigError, DataError, WeightsError

CONFIGS = Path(__file__).parents[2] / "configs" / "classification"
SMALL = ["--model.width", "0.125", "--data.size", "40", "--data.workers", "0", "--data.batch_size", "4"]
QUICK = ["--model.rates.optimizer", "adamw", "--model.rates.lr", "0.003", "--model.batch_norm_momentum", "0.5"]
HERE = ["--trainer.accelerator", "cpu", "--model.ema_decay", "null", "--data.scale", "[0.5, 1.0]"]


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
    assert (
        xseg.cli.main(["train", "--task", "classification", *arguments(folder / "data", folder / "run", epochs=6)]) == 0
    )
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
    classify.main([*written, "--trainer.max_epochs", "1"])
    first = table(trained / "run")[0]
    # the schedule ends elsewhere, the first batch's loss does not depend on it
    assert float(table(run)[0]["train/loss"]) == pytest.approx(float(first["train/loss"]), rel=0.05)


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(folders, tmp_path):
    same = ["--model.rates.schedule", "constant"]
    classify.main(arguments(folders, tmp_path / "whole", *same, epochs=3))
    classify.main(arguments(folders, tmp_path / "parts", *same, epochs=1))
    resume = ["--resume", str(tmp_path / "parts" / "last.ckpt")]
    classify.main(arguments(folders, tmp_path / "parts", *same, *resume, epochs=3))
    assert_close(last_weights(tmp_path / "parts"), last_weights(tmp_path / "whole"), rtol=0, atol=0)
    assert [row["epoch"] for row in table(tmp_path / "parts")] == ["1", "2", "3"]


def test_the_average_of_the_weights_is_what_is_kept(folders, tmp_path):
    """With a decay of nearly 1 the average stays where the first step, of at most the rate, has led."""
    run = tmp_path / "run"
    average = ["--model.ema_decay", "0.999999"]
    classify.main(arguments(folders, run, *average, "--model.rates.schedule", "constant"))
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
    slow = ["--model.rates.encoder_lr", "0.0", "--model.encoder_weights", str(trained / "run")]
    classify.main(arguments(trained / "data", run, *slow, epochs=1))
    before, after = (load_file(path / "best" / "model.safetensors") for path in (trained / "run", run))
    kernel = "encoder.blocks.5.convs.1.pointwise.weight"
    assert_close(after[kernel], before[kernel], rtol=0, atol=0)
    assert not torch.equal(after["head.weight"], before["head.weight"])


def test_a_broken_image_stops_before_training_unless_it_is_left_out(folders, tmp_path, capsys):
    (folders / "train" / "red" / "zz.jpg").write_text("not a picture")
    with pytest.raises(DataError, match=r"1 broken image, the first: .*zz.jpg is not an image.*skip_broken"):
        classify.main(arguments(folders, tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    classify.main(arguments(folders, tmp_path / "run", "--data.skip_broken", "true", epochs=1))
    told = capsys.readouterr()
    assert "left out 1 broken image" in told.err
    assert "8 training and 4 validation images" in told.out


def test_held_out_images_are_told(folders, tmp_path, capsys):
    classify.main(arguments(folders / "train", tmp_path / "run", epochs=1))
    assert "6 training and 2 validation (held out) images, 2 classes: blue, red" in capsys.readouterr().out


def test_odd_images_train(folders, tmp_path):
    red = folders / "train" / "red"
    with Image.open(red / "0.png") as picture:
        picture.convert("CMYK").save(red / "cmyk.jpg")
        picture.convert("P").save(red / "palette.gif")
    assert classify.main(arguments(folders, tmp_path / "run", epochs=1)) == 0


def test_sixteen_bit_images_train_and_are_drawn(folders, tmp_path):
    for path in folders.rglob("*.png"):
        Image.fromarray(np.full((40, 44), 50_000 if "red" in path.parts else 9_000, np.uint16)).save(path)
    assert classify.main(arguments(folders, tmp_path / "run", epochs=1)) == 0
    assert load_bundle(tmp_path / "run" / "best", "classification").normalization.maximum == 65_535


def test_a_checkpoint_of_another_classifier_is_refused(folders, trained, tmp_path):
    other = ["--model.fully_connected", "[8]", "--resume", str(trained / "run" / "last.ckpt")]
    with pytest.raises(WeightsError, match="is of another classifier"):
        classify.main(arguments(folders, tmp_path / "run", *other))


def test_an_older_run_is_not_overwritten_unasked(trained):
    with pytest.raises(ConfigError, match="is not empty"):
        classify.main(arguments(trained / "data", trained / "run"))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--model.widht", "1"], "did you mean 'model.width'"),
        (["--trainer.max_epochs", "0"], "trainer.max_epochs=0"),
        (["--model.rates.lr", "fast"], "model.rates.lr"),
        (["--resume", "nowhere.ckpt"], "resume=nowhere.ckpt is not there"),
        (["--seed_everything", "-1"], "seed_everything=-1"),
        (["--task", "detection"], "task"),
    ],
)
def test_a_wrong_option_is_told_by_name(wrong, told):
    with pytest.raises(ConfigError, match=told):
        parse_request(wrong)


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], False),
        (["--task", "classification"], True),
        (["--task=classification"], True),
        (["--task", "segmentation", "--config", "{classify}"], False),
        (["--config", "{classify}"], True),
        (["--config={classify}"], True),
        (["--config", "{classify}", "--config", "{segment}"], False),
        (["--config", "{plain}"], False),
    ],
)
def test_the_last_word_on_the_task_counts(arguments, asked, tmp_path):
    files = {"classify": "task: classification", "segment": "task: segmentation", "plain": "model: {}"}
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    paths = {name: tmp_path / f"{name}.yaml" for name in files}
    assert asks_for_classification([argument.format(**paths) for argument in arguments]) is asked


@pytest.mark.parametrize("trainer", ["cpu", "gpu"])
def test_the_trainer_fragments_are_those_of_segmentation_too(trainer):
    files = [CONFIGS / "folders_small.yaml", CONFIGS.parent / "trainer" / f"{trainer}.yaml"]
    request = parse_request([argument for file in files for argument in ("--config", str(file))])
    assert request.model.channels_last
    assert request.data.cache


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_is_one(file, folders):
    request = parse_request(["--config", str(file), "--data.root", str(folders)])
    assert asks_for_classification(["--config", str(file)])
    assert request.trainer.max_epochs > 0
    with torch.device("meta"):
        model = xseg.create_classifier(request.model.encoder, fully_connected=request.model.fully_connected, classes=2)
    assert sum(parameter.numel() for parameter in model.parameters()) > 1e6


def test_the_recipes_are_the_papers():
    """Chollet 2017, section 4.3."""
    rates = parse_request(["--config", str(CONFIGS / "xception_imagenet.yaml")]).model.rates
    assert (rates.optimizer, rates.lr, rates.momentum, rates.weight_decay) == ("sgd", 0.045, 0.9, 1e-5)
    assert (rates.schedule, rates.decay, rates.decay_epochs) == ("exponential", 0.94, 2)
    request = parse_request(["--config", str(CONFIGS / "xception_jft.yaml")]).model
    assert (request.rates.optimizer, request.rates.lr, request.rates.momentum) == ("rmsprop", 0.001, 0.9)
    assert (request.rates.decay, request.rates.decay_samples, request.dropout) == (0.9, 3_000_000, 0.0)
    assert request.fully_connected == (4096, 4096)


def test_help_tells_the_options(capsys):
    assert classify.main(["--help"]) == 0
    assert "--model.label_smoothing" in capsys.readouterr().out
    assert build_parser().get_defaults().task == classify_options.TASK
