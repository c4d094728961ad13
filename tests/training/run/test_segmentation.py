"""A run normalises its images as the encoder's first weights want it; overlapping classes train end to end."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from xseg.api.train_options import parse_request
from xseg.api.trainer_options import parse_trainer
from xseg.bundles.bundle import load_bundle
from xseg.cli import main
from xseg.data.generated.scenes import overlapping_scene, scene_key
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.training.options.task import TaskOptions
from xseg.training.run.segmentation import SegmentationRun

IMAGENET = (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("encoder", "weights", "mean"),
    [
        ("xception65", "imagenet", (0.5, 0.5, 0.5)),
        ("tu-resnet18", None, (0.5, 0.5, 0.5)),
        ("tu-resnet18", "imagenet", IMAGENET),
    ],
)
def test_images_are_normalised_for_the_encoders_weights(encoder, weights, mean):
    assert measured("fixed", encoder, weights).mean == mean


def test_measured_numbers_of_the_data_go_before_those_of_the_weights():
    auto = measured("auto", "tu-resnet18", "imagenet")
    assert auto == measured("auto", "xception65", None)
    assert auto.mean not in (IMAGENET, (0.5, 0.5, 0.5))


def measured(normalization, encoder, weights):
    data = DataOptions(reader="scenes", normalization=normalization)
    request = SimpleNamespace(data=data, model=TaskOptions(encoder=encoder, encoder_weights=weights))
    reader = create_reader(data)
    few = SimpleNamespace(
        channels=reader.channels,
        labels=reader.labels,
        read=reader.read,
        records=lambda split: reader.records(split)[:2],
    )
    return SegmentationRun.measure_normalization(SimpleNamespace(request=request, reader=few))


NETWORK = [
    *("--data.workers", "0", "--model.encoder", "xception", "--model.width", "0.125", "--model.decoder_channels", "8"),
    *("--model.depth", "3", "--model.output_stride", "8", "--trainer.accelerator", "cpu", "--trainer.logger", "false"),
]
SHAPES = [
    *("--data.reader", "scenes", "--data.layout.variant", "overlapping", "--data.layout.scenes.size", "[33,40]"),
    *("--data.layout.scenes.counts", "[6,4,2]", "--data.crop", "[33,33]", "--data.batch_size", "2", *NETWORK),
]


def fit(folder, *more):
    arguments = [*SHAPES, "--output_dir", str(folder), "--trainer.max_epochs", "2", *more]
    request = parse_request(arguments)
    run = SegmentationRun(request, parse_trainer(arguments)[0], create_reader(request.data), on_message=print)
    run.fit()
    return run


def test_overlapping_classes_are_trained_with_every_option_and_resumed_bit_for_bit(tmp_path):
    options = [
        *("--task", "multilabel", "--data.sampling", "class_aware", "--data.augmentation", "medical"),
        *("--model.loss.auxiliary", "0.4", "--model.loss.dice", "1", "--model.loss.class_weights", "inverse_sqrt"),
        *("--model.schedule.name", "constant"),
        *("--run.metrics", "[f1,auc,boundary_iou]", "--run.threshold", "precision:0.9", "--data.cache", "memory"),
    ]
    whole = fit(tmp_path / "whole", *options)
    names = ("disc", "square", "stripe")
    table = {"val/miou", "val/f1/disc", "val/auc", *(f"val/{n}/{c}" for n in ("iou", "threshold") for c in names)}
    assert table <= set((tmp_path / "whole" / "metrics.csv").read_text().partition("\n")[0].split(","))
    assert list((tmp_path / "whole" / "pictures").iterdir())
    bundle = load_bundle(tmp_path / "whole" / "best", "multilabel")
    assert (bundle.task, len(bundle.thresholds), bundle.labels.names) == ("multilabel", 3, names)
    assert bundle.model(torch.zeros(1, 3, 40, 40)).shape == (1, 3, 40, 40)
    fit(tmp_path / "parts", *options, "--trainer.max_epochs", "1")
    resumed = fit(tmp_path / "parts", *options, "--resume", str(tmp_path / "parts" / "last.ckpt"))
    ours, theirs = whole.task.model.state_dict(), resumed.task.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "task=segmentation with overlapping classes; expected task multilabel for overlapping classes"),
        (("--task", "multilabel", "--data.layout.variant", "street"), "task=multilabel with exclusive classes"),
        (("--task", "multilabel", "--model.binary", "true"), "binary=true with overlapping classes; expected false"),
        (("--task", "multilabel", "--run.threshold", "f1"), "threshold='f1'; expected none, best_f1, or precision"),
        (("--task", "multilabel", "--run.threshold", "precision:2"), "threshold='precision:2'"),
        (("--data.layout.variant", "street", "--run.threshold", "best_f1"), "with 8 exclusive classes; expected two"),
    ],
)
def test_what_does_not_fit_the_task_is_one_line(options, said, tmp_path, capsys):
    assert main(["train", *SHAPES, "--output_dir", str(tmp_path / "run"), *options]) == 2
    assert said in capsys.readouterr().err


def test_two_classes_have_one_threshold_and_one_output_if_wanted(tmp_path, save):
    for split in ("train", "val"):
        for index in range(4):
            image = np.random.default_rng(index).integers(0, 256, (33, 40, 3), np.uint8)
            save(image, tmp_path / split / "images" / f"{index}.png")
            save((image[..., 0] > 128).astype(np.uint8), tmp_path / split / "masks" / f"{index}.png")
    data = ["--data.reader", "folder", "--data.root", str(tmp_path), "--data.layout.labels.encoding", "binary"]
    fit(tmp_path / "run", *data, "--data.layout.variant", "", "--model.binary", "true", "--run.threshold", "best_f1")
    described = json.loads((tmp_path / "run" / "best" / "config.json").read_text())
    assert (described["task"], described["model"]["binary"]) == ("segmentation", True)
    assert len(described["thresholds"]) == 1
    assert load_bundle(tmp_path / "run" / "best").model.segmentation_head.weight.shape[0] == 1


@pytest.mark.slow
def test_overlapping_classes_that_no_exclusive_prediction_fits_are_learned(tmp_path, save):
    """Bands of three classes and one that never occurs, with images without any class and an ignored band."""
    covered = labelled = 0
    for split, count in (("train", 256), ("val", 32)):
        for index in range(count):
            image, mask = overlapping_scene(scene_key(0, split, index), 64, 64)
            bands = np.concatenate([mask, np.zeros_like(mask[..., :1])], axis=2)
            covered, labelled = covered + mask.any(axis=2).sum(), labelled + mask.sum()
            bands[:, :20, index % 3] = 255 if index % 4 == 0 else bands[:, :20, index % 3]
            save(image, tmp_path / "data" / split / "images" / f"{index}.png")
            save(bands, tmp_path / "data" / split / "masks" / f"{index}.png")
    assert covered / labelled < 0.8, "for one class per pixel, the mean share of found pixels is at most this"
    arguments = [
        *("train", "--task", "multilabel", *NETWORK, "--output_dir", str(tmp_path / "run")),
        *("--data.reader", "folder", "--data.root", str(tmp_path / "data"), "--data.layout.labels.encoding", "bands"),
        *("--data.layout.labels.classes", "[disc, square, stripe, never]", "--data.crop", "[64,64]"),
        *("--data.scale", "[1,1]", "--data.batch_size", "8", "--model.width", "0.25", "--model.decoder_channels", "32"),
        *("--model.optimizer.lr", "5e-3", "--model.batch_norm_momentum", "0.1", "--trainer.max_epochs", "9"),
        *("--run.threshold", "best_f1"),
    ]
    assert main(arguments) == 0
    scores = json.loads((tmp_path / "run" / "metrics.json").read_text())["classes"]
    assert min(scores[name]["iou"] for name in ("disc", "square", "stripe")) > 0.8
    assert scores["never"]["iou"] is None
    assert scores["never"]["pixels"] == 0
    assert load_bundle(tmp_path / "run" / "best").thresholds[3] == 0.5
