"""Classifiers made of files and of other classifiers."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

import xseg
from xseg.bundles.bundle import Bundle, load_bundle, save_bundle
from xseg.errors import WeightsError
from xseg.files.serialization import from_plain
from xseg.images.normalization import Normalization
from xseg.images.reading import read_image
from xseg.labels.label_map import NO_LABEL
from xseg.models.classifier import ClassifierConfig
from xseg.weights.classifier_head import read_head
from xseg.weights.formats.source import Source

KITCHENWARE = Path(__file__).parents[3] / "shared" / "data" / "kitchenware"
CACHE = Path(os.environ.get("XSEG_TEST_CACHE", Path.home() / ".cache" / "xseg-test"))
KERAS_FILE = CACHE / "xception_imagenet_kitchenware.keras"
SMALL = {"width": 0.125}


def small(**changes):
    torch.manual_seed(0)
    return xseg.create_classifier(**{**SMALL, "classes": 3, **changes})


@pytest.fixture
def saved(tmp_path):
    model = small(fully_connected=(7,), ablation=xseg.Ablation(between="elu"))
    labels = xseg.LabelMap(("a", "b", "c"), ignore_index=NO_LABEL)
    return save_bundle(Bundle(model, labels, Normalization()), tmp_path / "run" / "best")


def test_a_classifier_of_a_run_takes_its_classes_and_layers(saved):
    model = xseg.create_classifier(weights=saved, ablation=xseg.Ablation(between="elu"), **SMALL)
    assert (model.config.classes, model.config.fully_connected) == (3, (7,))
    assert_close(model.head.weight, load_bundle(saved, "classification").model.head.weight)


def test_other_classes_make_new_layers_over_the_same_encoder(saved):
    torch.manual_seed(1)
    model = xseg.create_classifier(
        weights=saved, classes=3, fully_connected=(), ablation=xseg.Ablation(between="elu"), **SMALL
    )
    theirs = load_bundle(saved, "classification").model
    assert model.head.in_features == 256
    assert_close(dict(model.encoder.state_dict()), dict(theirs.encoder.state_dict()))


def test_a_run_of_another_encoder_is_refused(saved):
    with pytest.raises(WeightsError, match=r"has width=0.125; expected 1.0"):
        xseg.create_classifier(weights=saved)
    with pytest.raises(WeightsError, match="has ablation=between=elu; expected none"):
        xseg.create_classifier(weights=saved, **SMALL)


@pytest.mark.parametrize("name", ["", "best", "best/model.safetensors"])
def test_a_classifiers_run_is_an_encoders_weights(saved, name):
    """Whatever its width and ablation: the file says them itself."""
    ablation = xseg.Ablation(between="elu")
    weights = saved.parent / name
    model = xseg.create_model(encoder="xception", encoder_weights=weights, classes=2, ablation=ablation, **SMALL)
    theirs = load_bundle(saved, "classification").model.encoder
    assert_close(dict(model.encoder.state_dict()), dict(theirs.state_dict()))


def test_a_classifier_is_no_model_to_predict_masks_with(saved):
    with pytest.raises(WeightsError, match="holds a classifier; expected a segmentation model"):
        xseg.load(saved.parent)


def test_a_configuration_survives_json():
    config = ClassifierConfig(fully_connected=(5, 4), width=0.5, ablation=xseg.Ablation(segments=4))
    assert from_plain(ClassifierConfig, json.loads(json.dumps(asdict(config))), "model") == config


def dense(tensors):
    return Source("a file", {f"head:{name}": torch.randn(shape) for name, shape in tensors.items()})


def test_kerass_layers_are_put_in_order_and_turned():
    source = dense({"dense_2/kernel": (5, 3), "dense_2/bias": (3,), "dense/kernel": (8, 5), "dense/bias": (5,)})
    head = read_head(source, 8)
    assert (head.classes, head.fully_connected) == (3, (5,))
    assert_close(head.state()["fully_connected.0.weight"], source.tensors["head:dense/kernel"].T)
    assert_close(head.state()["head.bias"], source.tensors["head:dense_2/bias"])


def test_layers_of_equal_size_follow_their_numbers():
    sizes = {"dense_10": (4, 2), "dense": (4, 4), "dense_2": (4, 4)}
    source = dense({f"{name}/{part}": shape[-1:] if part == "bias" else shape for name, shape in sizes.items()
                    for part in ("kernel", "bias")})  # fmt: skip
    state = read_head(source, 4).state()
    assert_close(state["fully_connected.0.weight"], source.tensors["head:dense/kernel"].T)
    assert_close(state["fully_connected.2.weight"], source.tensors["head:dense_2/kernel"].T)
    assert state["head.weight"].shape == (2, 4)


@pytest.mark.parametrize(
    ("weight", "bias"), [("head.fc.weight", "head.fc.bias"), ("last_linear.weight", "last_linear.bias")]
)
def test_the_last_layer_of_published_classifiers_is_found(weight, bias):
    source = Source("a file", {weight: torch.randn(5, 8), bias: torch.randn(5)})
    assert read_head(source, 8).classes == 5


def test_a_file_without_a_head_has_none_and_a_broken_chain_is_refused():
    assert read_head(dense({}), 8) is None
    with pytest.raises(WeightsError, match="form no chain from 9 features"):
        read_head(dense({"dense/kernel": (8, 5), "dense/bias": (5,)}), 9)
    with pytest.raises(WeightsError, match="without head:dense/bias"):
        read_head(dense({"dense/kernel": (8, 5)}), 8)


@pytest.mark.skipif(not KERAS_FILE.is_file() or not KITCHENWARE.is_dir(), reason="needs the kitchenware files")
def test_the_kitchenware_classifier_names_every_photograph():
    """A file of Keras: the ImageNet Xception, 100 units and 6 classes; only our own import and head are used."""
    model = xseg.create_classifier(weights=KERAS_FILE, padding="tf_same").eval()
    assert (model.config.classes, model.config.fully_connected) == (6, (100,))
    names = ("cup", "fork", "glass", "knife", "plate", "spoon")
    with (KITCHENWARE / "labels.csv").open(newline="") as file:
        wanted = {row["image"]: row["label"] for row in csv.DictReader(file)}
    found = {}
    for name in wanted:
        picture = Image.fromarray(read_image(KITCHENWARE / name)).resize((150, 150), Image.Resampling.NEAREST)
        images = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad():
            found[name] = names[int(model(images).argmax())]
    assert found == wanted
    assert len(found) == 9
