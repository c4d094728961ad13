"""A bundle is two plain files that appear together, come back as they were, and are refused when they do not fit."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from xseg.bundles.bundle import Bundle, bundle_task, is_bundle, load_bundle, save_bundle
from xseg.bundles.hub import HubBundle, pull_from_hub
from xseg.errors import WeightsError
from xseg.images.normalization import Normalization
from xseg.labels.label_map import NO_LABEL, LabelMap
from xseg.models.build import build_model
from xseg.models.classifier import ClassifierConfig, XceptionClassifier
from xseg.models.config import ModelConfig
from xseg.nn.ablation import Ablation


def segmentation():
    model = build_model(ModelConfig(encoder="xception41", width=0.125, decoder_channels=16, classes=3)).eval()
    labels = LabelMap(("road", "car", "sky"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)), ignored_raw_ids=(11,))
    return Bundle(model, labels, Normalization((0.4, 0.5, 0.6), (0.1, 0.2, 0.3)), {"source": "a test", "epoch": 3})


def multilabel():
    return replace(segmentation(), task="multilabel", thresholds=(0.25, 0.0, 1.0))


def classification():
    config = ClassifierConfig("xception", 3, fully_connected=(7,), width=0.125, ablation=Ablation(between="elu"))
    labels = LabelMap(("a", "b", "c"), ignore_index=NO_LABEL)
    return Bundle(XceptionClassifier(config).eval(), labels, Normalization(), {"from": "a test"}, {"size": 64})


@pytest.fixture(scope="module")
def bundle():
    torch.manual_seed(0)
    return segmentation()


@pytest.fixture(scope="module", params=[segmentation, multilabel, classification], ids=lambda make: make.__name__)
def any_bundle(request):
    torch.manual_seed(0)
    return request.param()


def test_everything_comes_back(any_bundle, tmp_path):
    again = load_bundle(save_bundle(any_bundle, tmp_path / "deep" / "bundle"), any_bundle.task)
    assert again.model.config == any_bundle.model.config
    assert (again.task, again.labels) == (any_bundle.task, any_bundle.labels)
    assert (again.normalization, again.thresholds) == (any_bundle.normalization, any_bundle.thresholds)
    assert (again.provenance, again.preprocessing) == (any_bundle.provenance, any_bundle.preprocessing)
    assert not again.model.training
    for name, tensor in any_bundle.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor)


OLD = {  # config.json as the first versions wrote it, where the two tasks had two kinds of bundles
    "segmentation": """{"format": 1, "xseg_version": "0.1.0", "model": {"architecture": "deeplabv3plus",
        "encoder": "xception41", "classes": 3, "in_channels": 3, "output_stride": 16, "depth": 5,
        "padding": "symmetric", "width": 0.125, "decoder_channels": 16, "atrous_rates": null, "dropout": 0.1,
        "decoder": true, "aspp": true, "image_pooling": true, "multi_grid": [1, 1, 1], "ablation": {
        "order": "depthwise_first", "segments": null, "between": "none", "depth_multiplier": 1, "residual": true},
        "encoder_norm_eps": null, "encoder_norm_momentum": null, "decoder_norm_eps": 1e-05,
        "decoder_norm_momentum": 0.1}, "labels": {"names": ["road", "car", "sky"],
        "colors": [[1, 2, 3], [4, 5, 6], [7, 8, 9]], "ignore_index": 255, "raw_ids": [0, 1, 2],
        "ignored_raw_ids": [11]}, "normalization": {"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3],
        "maximum": 255.0}, "provenance": {"source": "a test", "epoch": 3}}""",
    "classification": """{"format": 1, "kind": "classifier", "xseg_version": "0.1.0", "model": {
        "encoder": "xception", "classes": 3, "in_channels": 3, "fully_connected": [7], "dropout": 0.5,
        "padding": "symmetric", "width": 0.125, "ablation": {"order": "depthwise_first", "segments": null,
        "between": "elu", "depth_multiplier": 1, "residual": true}, "encoder_norm_eps": null,
        "encoder_norm_momentum": null}, "classes": ["a", "b", "c"], "normalization": {"mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5], "maximum": 255.0}, "preprocessing": {"size": 64},
        "provenance": {"from": "a test"}}""",
}


@pytest.mark.parametrize("make", [segmentation, classification])
def test_bundles_of_the_first_versions_load(make, tmp_path):
    any_bundle = make()
    folder = save_bundle(any_bundle, tmp_path / "best")
    (folder / "config.json").write_text(OLD[any_bundle.task])
    again = load_bundle(folder, any_bundle.task)
    assert (again.model.config, again.labels) == (any_bundle.model.config, any_bundle.labels)
    assert again.normalization == any_bundle.normalization
    assert (again.provenance, again.preprocessing) == (any_bundle.provenance, any_bundle.preprocessing)
    assert torch.equal(next(again.model.parameters()), next(any_bundle.model.parameters()))


@pytest.mark.parametrize("old", [False, True])
def test_a_bundle_for_another_task_is_refused(any_bundle, tmp_path, old):
    folder = save_bundle(any_bundle, tmp_path / "best")
    if old and any_bundle.task in OLD:
        (folder / "config.json").write_text(OLD[any_bundle.task])
    assert bundle_task(folder) == any_bundle.task
    other, said = {
        "segmentation": ("classification", "holds a segmentation model; expected a classifier"),
        "classification": (
            "segmentation",
            "holds a classifier; expected a segmentation model; pass it to a training with",
        ),
    }["classification" if any_bundle.task == "classification" else "segmentation"]
    with pytest.raises(WeightsError, match=said):
        load_bundle(folder, other)


def test_a_bundle_replaces_an_older_one_and_leaves_nothing_beside_it(bundle, tmp_path):
    save_bundle(bundle, tmp_path / "bundle")
    (tmp_path / "bundle" / "old.txt").write_text("x")
    save_bundle(bundle, tmp_path / "bundle")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bundle", "config.json", "model.safetensors"]


def test_a_bundle_that_cannot_be_written_leaves_the_older_one(bundle, tmp_path):
    save_bundle(bundle, tmp_path / "bundle")
    before = (tmp_path / "bundle" / "config.json").read_bytes()
    broken = Bundle(bundle.model, bundle.labels, bundle.normalization, {"source": object()})
    with pytest.raises(TypeError):
        save_bundle(broken, tmp_path / "bundle")
    assert (tmp_path / "bundle" / "config.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]


def test_labels_and_normalisation_must_fit_the_model(bundle):
    with pytest.raises(WeightsError, match="2 class names"):
        Bundle(bundle.model, LabelMap(("a", "b")), bundle.normalization)
    with pytest.raises(WeightsError, match="1 input means"):
        Bundle(bundle.model, bundle.labels, Normalization((0.5,), (0.5,)))


@pytest.mark.parametrize(
    ("classes", "changes", "said"),
    [
        (2, {"thresholds": (0.5, 0.5)}, "2 thresholds of a model for segmentation into 2 classes; expected 1 from 0"),
        (3, {"thresholds": (0.5,)}, "1 thresholds of a model for segmentation into 3 classes; expected none"),
        (3, {"task": "multilabel", "thresholds": (0.5,)}, "expected 3 from 0 to 1, or none"),
        (2, {"thresholds": (float("nan"),)}, "expected 1 from 0 to 1"),
        (2, {"thresholds": "low"}, "expected 1 from 0 to 1"),
        (2, {"task": "multilabel", "binary": True}, "binary=true; expected one output per class"),
    ],
)
def test_thresholds_and_task_must_fit_the_model(classes, changes, said):
    config = ModelConfig(encoder="xception41", width=0.125, decoder_channels=16, classes=classes)
    model = build_model(replace(config, binary=changes.pop("binary", False)))
    with pytest.raises(WeightsError) as caught:
        Bundle(model, LabelMap(("a", "b", "c")[:classes]), Normalization(), **changes)
    assert said in str(caught.value)


def change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no "),
        (lambda folder: (folder / "model.safetensors").unlink(), "no "),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), "has format None"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 100), "cannot be read"),
        (lambda folder: change(folder, format=99), "has format 99"),
        (lambda folder: change(folder, model={"encoder": "xception41", "colour": "red"}), "unknown keys colour"),
        (lambda folder: change(folder, labels={"names": ["a", "a", "b"]}), "used twice"),
        (lambda folder: change(folder, labels={"names": ["a"]}), "1 class names"),
        (lambda folder: change(folder, thresholds=[2.0]), "1 thresholds"),
        (lambda folder: change(folder, task="dancing"), "holds a model for 'dancing'"),
        (lambda folder: change(folder, task=["dancing"]), "holds a model for ['dancing']"),
        (lambda folder: change(folder, labels=None), "labels is None; expected an object of names and values"),
        (lambda folder: change(folder, normalization={"mean": [0.5], "std": [0]}), "above 0"),
    ],
)
def test_damage_is_one_line(any_bundle, tmp_path, damage, said):
    damage(save_bundle(any_bundle, tmp_path / "bundle"))
    with pytest.raises(WeightsError) as caught:
        load_bundle(tmp_path / "bundle", any_bundle.task)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("digits", [20, 400, 6000])
@pytest.mark.parametrize("path", ["model.classes", "model.width", "model.multi_grid", "normalization.maximum"])
def test_numbers_of_any_size_are_one_line(bundle, tmp_path, path, digits):
    file = save_bundle(bundle, tmp_path / "bundle") / "config.json"
    part, name = path.split(".")
    description = json.loads(file.read_text())
    description[part][name] = ["PLACE"] * 3 if name == "multi_grid" else "PLACE"
    file.write_text(json.dumps(description).replace('"PLACE"', "4" * digits))
    with pytest.raises(WeightsError) as caught:
        load_bundle(tmp_path / "bundle")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_size_that_no_memory_holds_is_one_line(bundle, tmp_path):
    save_bundle(bundle, tmp_path / "bundle")
    change(tmp_path / "bundle", model={**asdict(bundle.model.config), "classes": 2**62})
    with pytest.raises(WeightsError, match="cannot be built") as caught:
        load_bundle(tmp_path / "bundle")
    assert "\n" not in str(caught.value)


def test_json_nested_without_end_is_one_line(bundle, tmp_path):
    (save_bundle(bundle, tmp_path / "bundle") / "config.json").write_text("[" * 200_000)
    with pytest.raises(WeightsError, match="cannot be read"):
        load_bundle(tmp_path / "bundle")


def test_tensors_must_be_the_models(bundle, tmp_path):
    path = save_bundle(bundle, tmp_path / "bundle") / "model.safetensors"
    tensors = load_file(path)
    for wrong, said in (
        ({**tensors, "more": torch.ones(1)}, "unknown more"),
        ({name: value for name, value in tensors.items() if "head.bias" not in name}, "missing segmentation_head.bias"),
        ({**tensors, "segmentation_head.bias": torch.ones(2)}, "segmentation_head.bias of shape [2], expected [3]"),
    ):
        save_file(wrong, path)
        with pytest.raises(WeightsError) as caught:
            load_bundle(tmp_path / "bundle")
        assert said in str(caught.value)


def test_the_hubs_mixin_saves_the_same_files_and_a_card(bundle, tmp_path):
    HubBundle(bundle).save_pretrained(tmp_path / "mixin")
    save_bundle(bundle, tmp_path / "plain")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "mixin" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    assert is_bundle(tmp_path / "mixin")
    card = (tmp_path / "mixin" / "README.md").read_text()
    assert "| 1 | car | #040506 |" in card
    assert "license" not in card.split("---")[1]
    again = pull_from_hub(tmp_path / "mixin")
    assert (again.labels, again.provenance) == (bundle.labels, bundle.provenance)


def test_a_card_has_the_licence_that_is_asked_for_or_else_the_provenances(bundle):
    known = Bundle(bundle.model, bundle.labels, bundle.normalization, {"license": "MIT", "val_miou": 0.5})
    assert HubBundle(known).generate_model_card("me/net").data.license == "mit"
    card = HubBundle(known).generate_model_card("me/net", "cc-by-4.0")
    assert card.data.license == "cc-by-4.0"
    assert "val_miou: 0.5" in card.text
    assert 'xseg.load("me/net")' in card.text
