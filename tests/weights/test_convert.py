"""The verb: bundles and encoder files of whatever is known, head surgery by name, and our own files again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from xseg.cli import run
from xseg.factory import create_encoder
from xseg.labels import LabelMap
from xseg.models.bundle import Bundle, load_bundle, save_bundle
from xseg.normalization import Normalization
from xseg.weights.adapt import adapt_head
from xseg.weights.convert import convert
from xseg.weights.label_sets import label_set, voc_colors
from xseg.weights.read import read_source

WANTED = ("background", "car", "person", "drone")


@pytest.fixture(scope="module")
def checkpoint(fake, deeplab_tensors, tmp_path_factory):
    """Write X-41 DeepLabV3+ on VOC as TensorFlow does; the head's rows are their class's number."""
    path = tmp_path_factory.mktemp("zoo") / "model.ckpt"
    tensors = dict(deeplab_tensors)
    tensors["logits/semantic/weights"] = np.tile(np.arange(21, dtype=np.float32), (1, 1, 256, 1))
    tensors["logits/semantic/biases"] = 100 + np.arange(21, dtype=np.float32)
    fake("tensorflow_writer").write_checkpoint(path, tensors)
    return path


def test_a_checkpoint_becomes_a_bundle_with_names_colours_and_numerics(checkpoint, tmp_path, capsys):
    assert run("convert", [str(checkpoint), str(tmp_path / "bundle")]) == 0
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.labels.names[15] == "person"
    assert bundle.labels.colors[15] == (192, 128, 128)
    assert bundle.normalization == Normalization()
    norms = [part for part in bundle.model.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert {(part.eps, part.momentum) for part in norms} == {(1e-3, 0.0003), (1e-5, 0.0003)}
    assert bundle.provenance["origin"] == "tensorflow"
    assert "used: " in capsys.readouterr().out


def test_adapt_head_reuses_rows_by_name_and_says_so(checkpoint, tmp_path, capsys):
    assert run("convert", [str(checkpoint), str(tmp_path / "bundle"), "--adapt_head", *WANTED]) == 0
    said = capsys.readouterr().out
    assert "3 rows reused by name (background, car, person), 1 new and random (drone)" in said
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.labels.names == WANTED
    head = bundle.model.segmentation_head
    assert head.weight[:3, 0, 0, 0].tolist() == [0, 7, 15]
    assert head.bias.tolist() == [100, 107, 115, 0]
    assert 0 < float(head.weight[3].detach().std()) < 0.02
    assert bundle.labels.colors[1] == voc_colors(21)[7]


def test_an_encoder_file_holds_numerics_and_loads_by_path(checkpoint, tmp_path):
    target = tmp_path / "encoder.safetensors"
    assert run("convert", [str(checkpoint), str(target)]) == 0
    encoder = create_encoder("xception41", weights=target, depth=2)
    direct = create_encoder("xception41", weights=checkpoint, depth=2)
    assert all(torch.equal(direct.state_dict()[name], tensor) for name, tensor in encoder.state_dict().items())
    assert {(part.eps, part.momentum) for part in encoder.modules() if isinstance(part, torch.nn.BatchNorm2d)} == {
        (1e-3, 0.0003)
    }
    assert convert(read_source(target)).plan.origin == "xseg"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--encoder", "xception65"], "holds xception41; expected xception65"),
        (["--source", "keras"], "is of tensorflow"),
        (["--classes", "a", "b"], "2 names in --classes for 21 outputs"),
        (["--adapt_head", "a", "a"], "used twice"),
        (["--chek"], "did you mean --check?"),
    ],
)
def test_wrong_requests_are_one_line_and_write_nothing(checkpoint, tmp_path, capsys, extra, said):
    assert run("convert", [str(checkpoint), str(tmp_path / "bundle"), *extra]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "bundle").exists()


def test_an_encoder_alone_makes_no_bundle(checkpoint, tmp_path, capsys):
    run("convert", [str(checkpoint), str(tmp_path / "e.safetensors")])
    capsys.readouterr()
    assert run("convert", [str(tmp_path / "e.safetensors"), str(tmp_path / "bundle")]) == 2
    error = capsys.readouterr().err
    assert "holds an encoder alone" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
def test_check_compares_with_the_original_and_prints_the_differences(tmp_path, capsys):
    timm = pytest.importorskip("timm")
    torch.save(timm.create_model("xception41").state_dict(), tmp_path / "timm.pth")
    assert run("convert", [str(tmp_path / "timm.pth"), str(tmp_path / "e.safetensors"), "--check"]) == 0
    said = capsys.readouterr().out
    assert "check 129x129 at output stride 16: 1 " in said
    assert "check passed" in said


def test_check_finds_a_network_that_differs(tmp_path, capsys, monkeypatch):
    from xseg.weights.check import originals

    timm = pytest.importorskip("timm")
    torch.save(timm.create_model("xception41").state_dict(), tmp_path / "timm.pth")
    right = originals.original_runner

    def wrong(conversion):
        run_right, strides, name = right(conversion)
        return (
            lambda images, stride: {key: map_ * 1.001 for key, map_ in run_right(images, stride).items()},
            strides,
            name,
        )

    monkeypatch.setattr(originals, "original_runner", wrong)
    assert run("convert", [str(tmp_path / "timm.pth"), str(tmp_path / "e.safetensors"), "--check"]) == 1
    assert "check FAILED" in capsys.readouterr().out


def test_destinations_that_hold_other_things_are_left_alone(checkpoint, tmp_path, capsys):
    (tmp_path / "photo.txt").write_text("mine")
    assert run("convert", [str(checkpoint), str(tmp_path)]) == 2
    assert run("convert", [str(checkpoint), str(tmp_path / "photo.txt")]) == 2
    assert (tmp_path / "photo.txt").read_text() == "mine"
    assert capsys.readouterr().err.count("\n") == 2


def test_our_bundle_and_our_checkpoint_of_training_come_back(small_model, tmp_path):
    labels = LabelMap(tuple("abcde"))
    save_bundle(Bundle(small_model, labels, Normalization()), tmp_path / "run" / "best")
    state = {f"model.{name}": tensor for name, tensor in small_model.state_dict().items()}
    content = {"pytorch-lightning_version": "2.6", "epoch": 1, "state_dict": {**state, "class_weights": torch.ones(5)}}
    torch.save(content, tmp_path / "run" / "last.ckpt")
    for source in ("run/best", "run", "run/last.ckpt"):
        conversion = convert(read_source(tmp_path / source))
        assert conversion.config == small_model.config
        assert conversion.plan.labels.names == labels.names
        again = conversion.model_state(small_model.state_dict())
        assert all(torch.equal(again[name], tensor) for name, tensor in small_model.state_dict().items())
    assert set(convert(read_source(tmp_path / "run/last.ckpt")).dropped) == {
        "class_weights", "epoch", "pytorch-lightning_version"
    }  # fmt: skip
    assert run("convert", [str(tmp_path / "run/last.ckpt"), str(tmp_path / "again")]) == 0
    images = torch.rand(1, 3, 65, 65)
    with torch.inference_mode():
        torch.testing.assert_close(load_bundle(tmp_path / "again").model(images), small_model(images))


def test_an_encoder_takes_its_part_of_our_own_model(small_model, tmp_path):
    save_bundle(Bundle(small_model, LabelMap(tuple("abcde")), Normalization()), tmp_path / "bundle")
    encoder = create_encoder("xception41", weights=tmp_path / "bundle", width=0.125, depth=3)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, small_model.encoder.state_dict()[name])


def test_head_surgery_ignores_case_and_keeps_the_rest():
    labels, _ = label_set(19)
    from xseg.models.config import ModelConfig

    state = {
        "segmentation_head.weight": torch.randn(19, 256, 1, 1),
        "segmentation_head.bias": torch.randn(19),
        "other": torch.ones(1),
    }
    adapted = adapt_head(state, ModelConfig(classes=19), labels, ["Car", "zebra"])
    assert adapted.reused == ("Car",)
    assert adapted.fresh == ("zebra",)
    assert len(adapted.discarded) == 18
    assert adapted.config.classes == 2
    assert torch.equal(adapted.state["segmentation_head.weight"][0], state["segmentation_head.weight"][13])
    assert adapted.state["other"] is state["other"]


def test_known_sets_have_distinct_names_and_their_colours():
    for classes, name in (
        (21, "PASCAL VOC"),
        (19, "Cityscapes"),
        (150, "ADE20K"),
        (151, "ADE20K"),
        (81, "COCO"),
        (5, ""),
    ):
        labels, known = label_set(classes)
        assert (len(labels), known) == (classes, name)
    assert label_set(150)[0].colors[12] == (150, 5, 61)
    assert label_set(151)[0].names[13] == "person"
    assert voc_colors(21)[20] == (0, 64, 128)


def test_the_encoder_file_says_what_it_is_in_plain_json(checkpoint, tmp_path):
    from safetensors import safe_open

    run("convert", [str(checkpoint), str(tmp_path / "e.safetensors")])
    with safe_open(tmp_path / "e.safetensors", "pt") as file:
        header = json.loads(file.metadata()["xseg"])
    assert (header["encoder"], header["epsilon"]) == ("xception41", 1e-3)
    assert len(load_file(tmp_path / "e.safetensors")) > 400
