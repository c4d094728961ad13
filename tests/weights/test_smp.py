"""Weights of SMP's encoders: fetched by SMP, or from a file; with the normalisation that they were trained with."""

from __future__ import annotations

import json

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

import xseg
from xseg.bundles.bundle import Bundle, save_bundle
from xseg.errors import WeightsError
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.weights.smp import pretrained_normalization

SMALL = {"encoder": "resnet18", "classes": 2, "decoder_channels": 16}
MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Let SMP's own loader find a repository of its own, with random weights; return what it holds and was asked."""
    torch.manual_seed(1)
    state = smp.encoders.get_encoder("resnet18", weights=None).state_dict()
    # SMP's encoder drops the classifier that published weights have
    save_file({**state, "fc.weight": torch.zeros(2, 2), "fc.bias": torch.zeros(2)}, tmp_path / "model.safetensors")
    described = {"mean": MEAN, "std": STD, "input_range": [0, 1], "input_space": "RGB"}
    asked = []

    def download(repo_id, filename, revision=None):
        asked.append((repo_id, filename))
        (tmp_path / "config.json").write_text(json.dumps(described))
        return str(tmp_path / filename)

    monkeypatch.setattr(smp.encoders, "hf_hub_download", download)
    return state, asked, described


def test_published_weights_come_through_smps_own_loader(hub):
    state, asked, _ = hub
    model = xseg.create_model(encoder_weights="imagenet", **SMALL)
    assert_close(dict(model.encoder.state_dict()), dict(state))
    assert set(asked) == {("smp-hub/resnet18.imagenet", name) for name in ("config.json", "model.safetensors")}


def test_first_kernels_are_repeated_over_other_channels_as_smp_does(hub):
    state, _, _ = hub
    encoder = xseg.create_encoder("resnet18", weights="imagenet", in_channels=4)
    assert_close(encoder.conv1.weight[:, 3], state["conv1.weight"][:, 0] * 3 / 4)


def test_the_normalisation_is_that_of_the_weights(hub):
    default = Normalization.for_channels(3)
    assert pretrained_normalization("resnet18", "imagenet", default) == Normalization(MEAN, STD)
    deep = pretrained_normalization("resnet18", "imagenet", Normalization.for_channels(4, 65535.0))
    assert deep == Normalization((*MEAN, MEAN[0]), (*STD, STD[0]), 65535.0)
    _, _, described = hub
    described.update(input_range=[0, 255], mean=[127.5, 0, 255], std=[255, 255, 51])
    assert pretrained_normalization("resnet18", "imagenet", default) == Normalization((0.5, 0.0, 1.0), (1.0, 1.0, 0.2))
    described.update(input_space="BGR")
    with pytest.raises(WeightsError, match="for BGR images; expected RGB"):
        pretrained_normalization("resnet18", "imagenet", default)


def test_timm_says_the_normalisation_of_its_encoders_without_a_network():
    found = pretrained_normalization("tu-resnet18", "imagenet", Normalization.for_channels(3))
    assert found == Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(("encoder", "weights"), [("xception65", "imagenet"), ("resnet18", None)])
def test_other_encoders_and_random_weights_have_the_default(encoder, weights):
    default = Normalization.for_channels(5)
    assert pretrained_normalization(encoder, weights, default) is default


@pytest.mark.parametrize("prefix", ["", "encoder."])
def test_a_file_of_smps_names_is_taken(tmp_path, prefix):
    torch.manual_seed(1)
    state = smp.encoders.get_encoder("resnet18", weights=None).state_dict()
    save_file({prefix + name: tensor for name, tensor in state.items()}, tmp_path / "weights.safetensors")
    model = xseg.create_model(encoder_weights=tmp_path / "weights.safetensors", **SMALL)
    assert_close(dict(model.encoder.state_dict()), dict(state))
    imagenet = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert pretrained_normalization("resnet18", str(tmp_path / "weights.safetensors"), Normalization()) == imagenet


def test_a_bundle_gives_its_encoder_and_its_normalisation(tmp_path):
    model = xseg.create_model(**SMALL)
    bundle = Bundle(model, LabelMap(("a", "b")), Normalization(MEAN, STD))
    path = save_bundle(bundle, tmp_path / "best")
    other = xseg.create_model("unet", encoder="resnet18", classes=5, encoder_weights=path)
    assert_close(dict(other.encoder.state_dict()), dict(model.encoder.state_dict()))
    assert pretrained_normalization("resnet18", str(path), Normalization()) == bundle.normalization


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("layer1.0.conv1.weight"), r"has no .*; expected all tensors of the encoder"),
        (lambda state: state.update({"conv1.weight": torch.zeros(64, 1, 7, 7)}), r"\[64, 1, 7, 7\]; expected \[64, 3"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused(tmp_path, change, said):
    state = smp.encoders.get_encoder("resnet18", weights=None).state_dict()
    change(state)
    save_file(dict(state), tmp_path / "weights.safetensors")
    with pytest.raises(WeightsError, match=said):
        xseg.create_model(encoder_weights=tmp_path / "weights.safetensors", **SMALL)


def test_an_unknown_name_and_a_silent_hub_are_one_line_each(monkeypatch):
    with pytest.raises(WeightsError, match=r"encoder_weights='imagnet' for encoder 'resnet18'; expected imagenet, ssl"):
        xseg.create_model(encoder_weights="imagnet", **SMALL)

    def unreachable(*_, **__):
        raise OSError("no network\nand more")

    monkeypatch.setattr(smp.encoders, "hf_hub_download", unreachable)
    with pytest.raises(WeightsError, match="imagenet of resnet18: the Hugging Face Hub failed: no network") as caught:
        xseg.create_model(encoder_weights="imagenet", **SMALL)
    assert "\n" not in str(caught.value)
