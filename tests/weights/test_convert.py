"""The verb: bundles and encoder files of whatever is known, head surgery by name, and our own files again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from xseg.bundles.bundle import Bundle, load_bundle, save_bundle
from xseg.bundles.converted import Changes, load_model
from xseg.cli import run
from xseg.errors import ConfigError, WeightsError
from xseg.factory import create_encoder
from xseg.images.normalization import Normalization
from xseg.labels.known import label_set, voc_colors
from xseg.labels.label_map import LabelMap
from xseg.nn.norm import NormSpec
from xseg.weights.adapt import adapt_head
from xseg.weights.catalogue.entries import CATALOGUE, find_entry, table
from xseg.weights.convert import convert, provenance
from xseg.weights.formats import torch as torch_files
from xseg.weights.formats.read import read_source

WANTED = ("background", "car", "person", "drone")


@pytest.fixture(scope="module")
def checkpoint(deeplab_checkpoint):
    """X-41 DeepLabV3+ on VOC as TensorFlow writes it."""
    return deeplab_checkpoint


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


@pytest.fixture(scope="module")
def bundle(small_model, tmp_path_factory):
    """Write a small bundle of five classes."""
    folder = tmp_path_factory.mktemp("small") / "bundle"
    return save_bundle(Bundle(small_model, LabelMap(tuple("abcde")), Normalization()), folder)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--encoder", "xception65"], "holds xception41; expected xception65"),
        (["--source", "keras"], "comes from xseg"),
        (["--classes", "a", "b"], "2 names in classes for 5 outputs"),
        (["--adapt_head", "a", "a"], "used twice"),
        (["--atrous_rates", "6"], "three rates"),
        (["--chek"], "did you mean --check?"),
    ],
)
def test_wrong_requests_are_one_line_and_write_nothing(bundle, tmp_path, capsys, extra, said):
    assert run("convert", [str(bundle), str(tmp_path / "bundle"), *extra]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "bundle").exists()


def test_other_channels_repeat_the_first_kernels_and_say_so(bundle, small_model, tmp_path, capsys):
    assert run("convert", [str(bundle), str(tmp_path / "bundle"), "--in_channels", "5"]) == 0
    assert "first convolution repeated from 3 to 5 channels" in capsys.readouterr().out
    again = load_bundle(tmp_path / "bundle")
    assert again.normalization.channels == again.model.config.in_channels == 5
    assert any("from 3 to 5 channels" in note for note in again.provenance["notes"])
    first, wide = (model.encoder.stem.conv1.conv.weight for model in (small_model, again.model))
    torch.testing.assert_close(wide[:, 4], first[:, 1] * 3 / 5)


def test_whole_models_load_in_python_as_from_the_shell(bundle, small_model):
    again = load_model(bundle, changes=Changes(adapt_head=("c", "drone"), output_stride=8))
    assert (again.labels.names, again.model.config.output_stride) == (("c", "drone"), 8)
    assert "1 rows reused by name (c), 1 new and random (drone)" in again.provenance["notes"][0]
    torch.testing.assert_close(again.model.segmentation_head.weight[0], small_model.segmentation_head.weight[2])
    live = load_model(small_model, changes=Changes(classes=tuple("vwxyz")))
    assert live.labels.names == tuple("vwxyz")
    with pytest.raises(ConfigError, match="2 names in classes for 5 outputs; expected one per output; use adapt_head"):
        load_model(bundle, changes=Changes(classes=("a", "b")))


def test_rates_of_another_training_are_kept_in_the_bundle(bundle, tmp_path):
    arguments = ["--output_stride", "32", "--atrous_rates", "6", "12", "18"]
    assert run("convert", [str(bundle), str(tmp_path / "bundle"), *arguments]) == 0
    config = load_bundle(tmp_path / "bundle").model.config
    assert (config.output_stride, config.atrous_rates) == (32, (6, 12, 18))
    assert config.at_output_stride(16).atrous_rates == (12, 24, 36)


@pytest.mark.parametrize(("arguments", "lacks"), [([], "SOURCE"), (["a.pth"], "DESTINATION")])
def test_what_is_not_given_is_said(arguments, lacks, capsys):
    assert run("convert", arguments) == 2
    assert f"no {lacks}; expected xseg convert SOURCE DESTINATION" in capsys.readouterr().err


def test_the_catalogue_is_listed_entry_by_entry(capsys):
    assert run("convert", ["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split(" | ")[0].strip("| "): line for line in lines if line.startswith("| x")}
    assert {entry.key for entry in CATALOGUE} == set(rows)
    assert "83.182" in rows["xception65/ra3_in1k"]
    assert "imagenet" in rows["xception65/ra3_in1k"]
    for entry in CATALOGUE:
        assert entry.license in rows[entry.key]
        assert any(line.startswith(f"- {entry.key}: ") and entry.source in line for line in lines)


def test_the_documented_catalogue_is_the_catalogue():
    documented = (Path(__file__).parents[2] / "docs/weights.md").read_text(encoding="utf-8")
    assert "\n".join(table()) in documented


def test_a_bundle_of_the_catalogue_says_licence_and_score(small_model):
    conversion, entry = convert(read_source(small_model)), find_entry("xception65/voc")
    said = provenance(conversion, entry=entry)
    assert (said["name"], said["license"]) == ("xception65/voc_trainaug", "Apache-2.0")
    assert "82.20" in said["score"]
    assert "license" not in provenance(conversion)


def test_an_encoder_alone_makes_no_bundle(checkpoint, tmp_path, capsys):
    run("convert", [str(checkpoint), str(tmp_path / "e.safetensors")])
    capsys.readouterr()
    assert run("convert", [str(tmp_path / "e.safetensors"), str(tmp_path / "bundle")]) == 2
    error = capsys.readouterr().err
    assert "holds only an encoder" in error
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
            strides[:1],
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


def checkpoint_of_training(model, **more):
    """Return what Lightning saves of a training of ours."""
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    return {"pytorch-lightning_version": "2.6", "state_dict": {**state, "class_weights": torch.ones(5)}, **more}


def assert_same_state(conversion, model):
    again = conversion.model_state(model.state_dict())
    assert all(torch.equal(again[name], tensor) for name, tensor in model.state_dict().items())


def test_our_bundle_and_our_checkpoint_of_training_come_back(small_model, tmp_path):
    labels = LabelMap(tuple("abcde"))
    save_bundle(Bundle(small_model, labels, Normalization()), tmp_path / "run" / "best")
    torch.save(checkpoint_of_training(small_model, epoch=1), tmp_path / "run" / "last.ckpt")
    for source in ("run/best", "run", "run/last.ckpt"):
        conversion = convert(read_source(tmp_path / source))
        assert conversion.config == small_model.config
        assert conversion.plan.labels.names == labels.names
        assert_same_state(conversion, small_model)
    assert set(convert(read_source(tmp_path / "run/last.ckpt")).claims.dropped) == {
        "class_weights", "epoch", "pytorch-lightning_version"
    }  # fmt: skip
    assert run("convert", [str(tmp_path / "run/last.ckpt"), str(tmp_path / "again")]) == 0
    images = torch.rand(1, 3, 65, 65)
    with torch.inference_mode():
        torch.testing.assert_close(load_bundle(tmp_path / "again").model(images), small_model(images))


def test_a_checkpoint_that_describes_itself_needs_nothing_beside_it(small_model, tmp_path, capsys):
    labels, numbers = LabelMap(tuple("vwxyz"), ignored_raw_ids=(11,)), Normalization((0.4, 0.5, 0.6), (0.2, 0.2, 0.2))
    told = {"model": asdict(small_model.config), "labels": labels.to_dict(), "normalization": asdict(numbers)}
    torch.save(checkpoint_of_training(small_model, xseg=told), tmp_path / "last.ckpt")
    assert run("convert", [str(tmp_path / "last.ckpt"), str(tmp_path / "bundle")]) == 0
    bundle = load_bundle(tmp_path / "bundle")
    assert (bundle.model.config, bundle.labels, bundle.normalization) == (small_model.config, labels, numbers)
    torch.save(checkpoint_of_training(small_model), tmp_path / "old.ckpt")
    assert run("convert", [str(tmp_path / "old.ckpt"), str(tmp_path / "other")]) == 2
    assert "does not contain the configuration of its model" in capsys.readouterr().err


@pytest.mark.parametrize("told", [3, {}, {"model": {"dept": 5}}, {"model": {}, "normalization": {"mean": 3}}])
def test_a_checkpoint_that_describes_itself_wrongly_is_one_line(small_model, tmp_path, told):
    torch.save(checkpoint_of_training(small_model, xseg=told), tmp_path / "last.ckpt")
    with pytest.raises(WeightsError) as caught:
        convert(read_source(tmp_path / "last.ckpt")).model_state(small_model.state_dict())
    assert "\n" not in str(caught.value)


def test_the_moving_average_of_a_training_is_taken(small_model, tmp_path):
    told = {"model": asdict(small_model.config)}
    plain = {f"model.{name}": torch.zeros_like(tensor) for name, tensor in small_model.state_dict().items()}
    extra = {"current_model_state": plain, "averaging_state": {"n_averaged": torch.tensor(7)}, "xseg": told}
    torch.save(checkpoint_of_training(small_model, **extra), tmp_path / "last.ckpt")
    conversion = convert(read_source(tmp_path / "last.ckpt"))
    assert_same_state(conversion, small_model)
    assert conversion.plan.notes == ("the moving average of the weights is used",)
    assert conversion.claims.dropped["current_model_state"] == "replaced by their moving average"


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
        (91, "COCO, by its own numbers"),
        (5, ""),
    ):
        labels, known = label_set(classes)
        assert (len(labels), known) == (classes, name)
    assert label_set(150)[0].colors[12] == (150, 5, 61)
    assert label_set(151)[0].names[13] == "person"
    assert voc_colors(21)[20] == (0, 64, 128)
    by_number = label_set(91)[0].names
    assert (by_number[1], by_number[12], by_number[13], by_number[90]) == (
        "person", "unused 12", "stop sign", "toothbrush"
    )  # fmt: skip


def test_the_encoder_file_says_what_it_is_in_plain_json(checkpoint, tmp_path):
    from safetensors import safe_open

    run("convert", [str(checkpoint), str(tmp_path / "e.safetensors")])
    with safe_open(tmp_path / "e.safetensors", "pt") as file:
        header = json.loads(file.metadata()["xseg"])
    assert (header["encoder"], header["epsilon"]) == ("xception41", 1e-3)
    assert len(load_file(tmp_path / "e.safetensors")) > 400


def test_two_writers_of_one_encoder_file_do_not_disturb_each_other(tmp_path, monkeypatch):
    path, calls = tmp_path / "e.safetensors", []

    def write(value):
        state = {"stem.conv1.conv.weight": torch.full((1,), value)}
        norm = NormSpec(eps=1e-3, momentum=0.1)
        torch_files.save_encoder(
            path, state, encoder="xception", norm=norm, normalization=Normalization(), source="test"
        )

    def save_while_another_writes(tensors, file, **options):
        calls.append(file)
        save_file(tensors, file, **options)
        if len(calls) == 1:
            write(2.0)

    monkeypatch.setattr(torch_files, "save_file", save_while_another_writes)
    write(1.0)
    assert load_file(path)["stem.conv1.conv.weight"].tolist() == [1.0]
    assert path.stat().st_mode & 0o777 == 0o644
    assert [file.name for file in tmp_path.iterdir()] == ["e.safetensors"]
