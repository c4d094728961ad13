"""Thresholds from the bundle, the command line and Python, in every command that predicts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import xseg
from xseg.api.evaluation import evaluate
from xseg.bundles.bundle import Bundle, save_bundle
from xseg.cli import main
from xseg.data.generated.scenes import OVERLAPPING_LABELS
from xseg.images.normalization import Normalization
from xseg.inference.prediction import read_mask
from xseg.labels.label_map import LabelMap
from xseg.models.build import build_model
from xseg.models.config import ModelConfig

LABELS = LabelMap(("background", "vessel"))
BLOCKS = np.random.default_rng(0).integers(0, 256, (2, 5, 6, 3), np.uint8)
IMAGES = [np.kron(blocks, np.ones((8, 8, 1), np.uint8)) for blocks in BLOCKS]


@pytest.fixture(scope="module")
def two(settled):
    """A model whose probabilities differ from pixel to pixel."""
    torch.manual_seed(0)
    network = build_model(ModelConfig(encoder="xception", classes=2, width=0.125, depth=3, decoder_channels=16))
    head = network.segmentation_head
    torch.nn.init.normal_(head.weight)
    images = torch.from_numpy(np.stack(IMAGES)).permute(0, 3, 1, 2) / 127.5 - 1
    settled(network, images)
    with torch.no_grad():
        margin = network(images).diff(dim=1)
        head.weight /= margin.std()
        head.bias[1] -= margin.mean() / margin.std()
    return Bundle(network, LABELS, Normalization())


@pytest.fixture
def data(tmp_path):
    """Two images with masks."""
    for kind in ("images", "masks"):
        (tmp_path / "data" / "val" / kind).mkdir(parents=True)
    for index, pixels in enumerate(IMAGES):
        Image.fromarray(pixels).save(tmp_path / "data" / "val" / "images" / f"{index}.png")
        Image.fromarray((pixels[..., 0] > 128).astype(np.uint8)).save(
            tmp_path / "data" / "val" / "masks" / f"{index}.png"
        )
    return tmp_path / "data"


def predict(model, data, out, *options):
    assert main(["predict", str(model), str(data / "val" / "images"), "--output_dir", str(out), *options]) == 0
    return np.stack([np.asarray(Image.open(out / "masks" / f"{index}.png")) for index in range(2)])


def evaluated(model, data, out, *options):
    line = ["evaluate", str(model), "--data.reader", "folder", "--data.root", str(data), "--output_dir", str(out)]
    assert main([*line, "--data.layout.labels.classes", json.dumps(LABELS.names), *options]) == 0
    return json.loads((out / "metrics.json").read_text())


def test_the_stored_threshold_is_used_and_the_requested_one_replaces_it(two, data, tmp_path):
    stored = save_bundle(replace(two, thresholds=(0.3,)), tmp_path / "stored")
    plain = save_bundle(two, tmp_path / "plain")
    second = np.stack([xseg.load(plain)(image).probabilities[1] for image in IMAGES])
    assert (second < 0.3).any()
    assert (second > 0.6).any()
    exact = ("--precision", "float32", "--backend", "torch")
    assert np.array_equal(predict(stored, data, tmp_path / "a", *exact), second >= np.float32(0.3))
    named = predict(stored, data, tmp_path / "b", *exact, "--threshold", "vessel=0.6")
    assert np.array_equal(named, second >= np.float32(0.6))
    for backend in ("openvino", "onnxruntime"):
        masks = predict(stored, data, tmp_path / backend, "--backend", backend, "--precision", "float32")
        clear = np.abs(second - 0.3) > 1e-3
        assert np.array_equal(masks[clear], (second >= 0.3)[clear])
    assert np.array_equal(xseg.load(stored, threshold=0.6)(IMAGES[0]).mask, second[0] >= np.float32(0.6))
    assert np.array_equal(xseg.load(stored, threshold={"vessel": 0.6})(IMAGES[0]).mask, second[0] >= np.float32(0.6))


def test_evaluate_scores_the_masks_of_the_threshold(two, data, tmp_path):
    folder = save_bundle(replace(two, thresholds=(0.3,)), tmp_path / "stored")
    found = {}
    for threshold in (None, "0.0", "0.3", "0.6"):
        options = [] if threshold is None else ["--threshold", threshold]
        found[threshold] = evaluated(folder, data, tmp_path / f"scores{threshold}", *options)
    vessel = {threshold: values["classes"]["vessel"] for threshold, values in found.items()}
    assert vessel["0.0"]["recall"] == 1
    assert vessel[None] == vessel["0.3"]
    assert vessel["0.6"]["recall"] < vessel["0.3"]["recall"] < 1
    assert found["0.6"]["evaluated"]["options"]["threshold"] == ["0.6"]
    given = {"reader": "folder", "root": str(data), "layout": {"labels": {"classes": list(LABELS.names)}}}
    evaluation = evaluate(folder, data=given, output_dir=tmp_path / "python", threshold=0.6, quiet=True)
    assert evaluation.scores.per_class["recall"][1] == vessel["0.6"]["recall"]


def test_thresholds_of_three_exclusive_classes_are_refused_before_anything_is_written(two, data, tmp_path, capsys):
    torch.manual_seed(0)
    network = build_model(ModelConfig(encoder="xception", classes=3, width=0.125, depth=3, decoder_channels=16))
    folder = save_bundle(Bundle(network.eval(), LabelMap(("a", "b", "c")), Normalization()), tmp_path / "three")
    line = [str(folder), str(data / "val" / "images"), "--output_dir", str(tmp_path / "out"), "--threshold"]
    assert main(["predict", *line, "0.4"]) == 2
    assert "threshold=0.4 for 3 exclusive classes; expected a model with two classes" in capsys.readouterr().err
    assert main(["predict", *line, "1.4"]) == 2
    assert "threshold=1.4; expected a number from 0 to 1" in capsys.readouterr().err
    assert main(["export", str(folder), "--output", str(tmp_path / "m.torchscript"), "--threshold", "0.4"]) == 2
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("m.*"))


def test_overlapping_classes_by_every_backend_and_as_an_export(settled, data, tmp_path, capsys):
    torch.manual_seed(1)
    network = build_model(ModelConfig(encoder="xception", classes=3, width=0.125, depth=3, decoder_channels=16))
    torch.nn.init.normal_(network.segmentation_head.weight, std=0.3)
    settled(network, torch.from_numpy(np.stack(IMAGES)).permute(0, 3, 1, 2) / 127.5 - 1)
    model = Bundle(network, OVERLAPPING_LABELS, Normalization(), task="multilabel", thresholds=(0.3, 0.5, 0.7))
    folder, file = save_bundle(model, tmp_path / "model"), tmp_path / "m.torchscript"
    limits = np.array(model.thresholds)
    values = [np.moveaxis(xseg.load(folder)(image).probabilities, 0, -1) for image in IMAGES]
    assert {(tuple(each)) for each in (values[0] >= limits).reshape(-1, 3).tolist()} > {(True, True, False)}
    assert main(["export", str(folder), "--format", "torchscript", "--output", str(file)]) == 0
    for backend in ("torch", "openvino", "onnxruntime", "export"):
        source, options = (file, []) if backend == "export" else (folder, ["--backend", backend])
        line = ["predict", str(source), str(data / "val" / "images"), "--output_dir", str(tmp_path / backend)]
        assert main([*line, "--precision", "float32", *options]) == 0
        for index, probabilities in enumerate(values):
            clear = np.abs(probabilities - limits) > 1e-3
            mask = read_mask(tmp_path / backend / "masks" / f"{index}.tif")
            np.testing.assert_array_equal(mask[clear], (probabilities >= limits)[clear])
    scenes = [
        "--data.reader",
        "scenes",
        "--data.layout.variant",
        "overlapping",
        "--data.layout.scenes.counts",
        "[1,2,1]",
    ]
    found = []
    for source in (folder, file):
        out = tmp_path / f"scores-{source.name}"
        capsys.readouterr()
        assert main(["evaluate", str(source), *scenes, "--output_dir", str(out)]) == 0
        shown = capsys.readouterr().out
        assert all(word in shown for word in ("disc", "square", "stripe", "TP", "FN", "mIoU"))
        assert "Thresholds" in (out / "report.html").read_text()
        found.append(json.loads((out / "metrics.json").read_text()))
    assert found[0]["classes"]["disc"].keys() >= {"iou", "f1", "precision", "recall", "tp", "fp", "fn", "tn"}
    assert found[1]["miou"] == pytest.approx(found[0]["miou"], abs=2e-3)
