"""A model leaves as one file that computes what the model computes, proven, or it does not leave."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import xseg
from xseg.bundles.bundle import Bundle, save_bundle
from xseg.cli import main
from xseg.errors import ConfigError, ShapeError, WeightsError
from xseg.exporting.exported import export_model, is_export, read_export
from xseg.exporting.formats import FORMATS
from xseg.exporting.graph import ImageGraph
from xseg.exporting.options import GraphOptions
from xseg.images.normalization import Normalization
from xseg.labels.decision import Decision
from xseg.labels.label_map import LabelMap
from xseg.models.build import build_model
from xseg.models.coarse import CoarseNetwork
from xseg.models.config import ModelConfig

NORMALIZATION = Normalization((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


def bundle(settled, waves, classes=3, normalization=NORMALIZATION, **settings):
    torch.manual_seed(0)
    small = {"encoder": "xception", "width": 0.125, "decoder_channels": 16, "depth": 3, "classes": classes}
    config = ModelConfig(**{**small, **settings})
    model = settled(build_model(config), waves(2, config.in_channels, 65, 65))
    head = model.segmentation_head
    torch.nn.init.normal_(head.weight if isinstance(head, torch.nn.Conv2d) else head[0].weight)
    return Bundle(model, LabelMap(tuple("abcdefghijkl"[:classes])), normalization, {"licence": "CC0"})


@pytest.fixture(scope="module")
def three(settled, waves):
    labels = LabelMap(("a", "b", "c"), raw_ids=(7, 8, 11), ignored_raw_ids=(0,), background="b")
    return replace(bundle(settled, waves), labels=labels)


@pytest.fixture
def image():
    generator = np.random.default_rng(1)
    return np.kron(generator.integers(0, 256, (9, 11, 3)), np.ones((8, 8, 1), int)).astype(np.uint8)[:70, :85]


@pytest.mark.parametrize("name", ["onnx", "openvino", pytest.param("pt2", marks=pytest.mark.slow), "torchscript"])
def test_a_file_predicts_what_the_model_predicts_at_any_size(name, three, image, tmp_path):
    form = FORMATS[name]
    if form.missing_packages():
        pytest.skip(f"needs {form.missing_packages()}")
    file = tmp_path / f"model{form.suffix}"
    cases = export_model(three, file, format=name, advice={"overlap": 32})
    assert {case.size for case in cases} > {(20, 31), (97, 129)}
    assert min(case.agreement for case in cases) >= 0.999
    proof = json.loads(file.with_suffix(".proof.json").read_text())
    assert len(proof["cases"]) == len(cases)
    assert is_export(file)
    ours, read = xseg.Predictor.from_bundle(three), xseg.load(file)
    assert read.labels == three.labels
    for part in (image, image[:40, :33], image[:9, :1]):
        assert np.mean(read(part).mask == ours(part).mask) > 0.999
    tiled = xseg.load(file, tile=64)(np.tile(image, (2, 2, 1))).mask
    assert tiled.shape == (140, 170)
    metadata = read_export(file).metadata
    assert (metadata["class_names"], metadata["licence"], metadata["overlap"]) == (["a", "b", "c"], "CC0", 32)
    leftovers = {path.name for path in tmp_path.iterdir()} - {"model.bin"}
    assert leftovers == {file.name, "model.proof.json"}


def test_bundle_and_file_read_the_bands_of_the_model(settled, waves, image, tmp_path):
    green = bundle(settled, waves, normalization=Normalization((0.5,), (0.2,), bands=(2,)), in_channels=1)
    save_bundle(green, tmp_path / "bundle")
    export_model(green, tmp_path / "m.torchscript", format="torchscript")
    Image.fromarray(image).save(tmp_path / "photo.png")
    expected = xseg.Predictor.from_bundle(green)(image[..., 1]).mask
    for model in (tmp_path / "bundle", tmp_path / "m.torchscript"):
        assert np.mean(xseg.load(model)(tmp_path / "photo.png").mask == expected) > 0.999


GRAPHS = [
    {"input": "float", "layout": "nchw"},
    {"input": "unit", "result": "probabilities"},
    {"result": "confidence"},
    {"result": "logits", "size": (40, 67)},
    {"result": "labels", "size": (20, 50), "layout": "nchw"},
]


@pytest.mark.parametrize("options", GRAPHS, ids=str)
def test_every_option_of_the_graph_is_proven_and_predicts_the_same(options, three, image, tmp_path):
    export_model(three, tmp_path / "m.torchscript", format="torchscript", options=GraphOptions(**options))
    predictor = xseg.load(tmp_path / "m.torchscript")
    part = image[: options.get("size", image.shape)[0], : options.get("size", image.shape)[1]]
    expected, got = xseg.Predictor.from_bundle(three)(part), predictor(part)
    assert np.mean(got.mask == expected.mask) > 0.999
    if options.get("result", "labels") in ("probabilities", "logits"):
        np.testing.assert_allclose(got.probabilities, expected.probabilities, atol=1e-4)
    if "size" in options:
        with pytest.raises(ShapeError, match=r"70x85 pixels for an export of .*; use --tile"):
            predictor.model(torch.zeros(1, 3, 70, 85))


@pytest.mark.parametrize("classes", [8, 9, 12])
def test_classes_that_are_resized_in_parts_give_the_label_and_confidence_of_all(settled, waves, classes):
    model = bundle(settled, waves, classes=classes)
    made = {
        result: ImageGraph(
            CoarseNetwork(model.model), NORMALIZATION, classes=classes, options=GraphOptions(result=result)
        )
        for result in ("confidence", "probabilities")
    }
    images = torch.randint(0, 256, (2, 40, 50, 3), dtype=torch.uint8)
    labels, confidence = made["confidence"](images)
    (probabilities,) = made["probabilities"](images)
    assert torch.equal(labels.long(), probabilities.argmax(1))
    torch.testing.assert_close(confidence, probabilities.amax(1), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("threshold", [0.2, 0.9])
def test_a_threshold_decides_between_two_classes(settled, waves, image, threshold, tmp_path):
    two = bundle(settled, waves, classes=2)
    options = GraphOptions(threshold=threshold)
    export_model(two, tmp_path / "m.torchscript", format="torchscript", options=options)
    second = xseg.Predictor.from_bundle(two)(image).probabilities[1]
    clear = np.abs(second - threshold) > 1e-4
    mask = xseg.load(tmp_path / "m.torchscript")(image).mask
    assert np.array_equal(mask[clear], (second >= threshold)[clear])


@pytest.mark.parametrize("name", ["onnx", "openvino", pytest.param("pt2", marks=pytest.mark.slow), "torchscript"])
def test_overlapping_classes_leave_as_one_band_each(settled, waves, image, name, tmp_path):
    form = FORMATS[name]
    if form.missing_packages():
        pytest.skip(f"needs {form.missing_packages()}")
    thresholds = tuple(np.linspace(0.2, 0.8, 9).tolist())
    model = replace(bundle(settled, waves, classes=9), task="multilabel", thresholds=thresholds)
    ours = xseg.Predictor.from_bundle(model)(image)
    file = tmp_path / f"m{form.suffix}"
    export_model(model, file, format=name, options=GraphOptions(threshold=("a=0.4",)))
    export = read_export(file)
    (bands,) = export.model._session(torch.from_numpy(image)[None])
    assert (bands.dtype, bands.shape) == (torch.uint8, (1, 70, 85, 9))
    near = np.abs(np.moveaxis(ours.probabilities, 0, -1) - np.array([0.4, *thresholds[1:]])) < 1e-3
    wanted = np.moveaxis(ours.probabilities, 0, -1) >= np.array([0.4, *thresholds[1:]], np.float32)
    assert np.array_equal(bands[0].numpy()[~near], wanted[~near])
    assert export.decision == Decision(True, (0.4, *thresholds[1:]))
    read = xseg.load(file)(image)
    assert np.array_equal(read.mask[~near], wanted[~near])
    assert read.pixels == dict(zip("abcdefghi", read.mask.sum((0, 1)).tolist(), strict=True))
    assert xseg.load(file, tile=64)(image).mask.shape == (70, 85, 9)


@pytest.mark.parametrize("result", ["probabilities", "logits"])
def test_scores_of_overlapping_classes_give_any_threshold(settled, waves, image, result, tmp_path):
    model = replace(bundle(settled, waves), task="multilabel", thresholds=(0.2, 0.4, 0.6))
    ours, file = xseg.Predictor.from_bundle(model)(image), tmp_path / "m.torchscript"
    export_model(model, file, format="torchscript", options=GraphOptions(result=result))
    read = xseg.load(file)(image)
    np.testing.assert_allclose(read.probabilities, ours.probabilities, atol=1e-4)
    assert np.mean(read.mask == ours.mask) > 0.999
    higher = xseg.load(file, threshold={"a": 0.9})(image)
    assert np.array_equal(higher.mask[..., 0], read.probabilities[0] >= np.float32(0.9))
    with pytest.raises(ConfigError, match=r"result=confidence for overlapping classes; expected labels, prob"):
        export_model(model, file, format="torchscript", options=GraphOptions(result="confidence"))


def test_the_stored_threshold_leaves_with_the_model(settled, waves, image, tmp_path):
    two = replace(bundle(settled, waves, classes=2), thresholds=(0.3,))
    second = xseg.Predictor.from_bundle(two)(image).probabilities[1]
    for result in ("labels", "confidence", "probabilities"):
        file = tmp_path / f"{result}.torchscript"
        export_model(two, file, format="torchscript", options=GraphOptions(result=result))
        assert read_export(file).decision == Decision(thresholds=(0.3,))
        clear = np.abs(second - 0.3) > 1e-4
        assert np.array_equal(xseg.load(file)(image).mask[clear], (second >= 0.3)[clear])
        if result == "labels":
            with pytest.raises(ConfigError, match=r"threshold=0.6 for an export of labels; expected an export with"):
                xseg.load(file, threshold=0.6)
        else:
            clear = np.abs(second - 0.6) > 1e-4
            assert np.array_equal(xseg.load(file, threshold=0.6)(image).mask[clear], (second >= 0.6)[clear])


def test_a_threshold_of_the_graph_keeps_what_is_certain_and_everything(settled, waves, image, tmp_path):
    two = bundle(settled, waves, classes=2)
    second = xseg.Predictor.from_bundle(two)(image).probabilities[1]
    masks = {}
    for threshold in (0.0, 1.0):
        file = tmp_path / f"{threshold}.torchscript"
        export_model(two, file, format="torchscript", options=GraphOptions(threshold=threshold))
        masks[threshold] = xseg.load(file)(image).mask
    assert masks[0.0].all()
    assert not masks[1.0][second < 0.9999].any()


def test_an_unet_is_padded_inside_the_graph(settled, waves, image, tmp_path):
    unet = bundle(settled, waves, architecture="unet", depth=4, output_stride=16)
    export_model(unet, tmp_path / "m.torchscript", format="torchscript")
    assert np.array_equal(
        xseg.load(tmp_path / "m.torchscript")(image).mask, xseg.Predictor.from_bundle(unet)(image).mask
    )


def wrong_normalization(graph):
    graph.shift += 0.2


def wrong_weight(graph):
    next(graph.network.model.encoder.parameters()).mul_(1.5)


def no_resize(graph):
    graph._cropped = lambda maps, height, width: maps[..., :1, :1].expand(*maps.shape[:-2], height, width)


@pytest.mark.parametrize("spoil", [wrong_normalization, wrong_weight, no_resize])
def test_a_file_that_computes_something_else_does_not_appear(settled, waves, tmp_path, monkeypatch, spoil):
    class Spoilt(type(FORMATS["torchscript"])):
        def write(self, program, _path):
            self.program = program

        def read(self, _path, _precision):
            graph = self.program.module
            network, config = graph.network.model, graph.network.model.config
            graph.network.model = build_model(config)
            graph.network.model.load_state_dict(network.state_dict())
            graph.network.eval()
            with torch.no_grad():
                spoil(graph)
            return graph

    monkeypatch.setitem(FORMATS, "torchscript", Spoilt())
    with pytest.raises(ConfigError, match=r"the exported model differs from the model on .*; no file was written"):
        export_model(bundle(settled, waves), tmp_path / "m.torchscript", format="torchscript")
    assert not list(tmp_path.iterdir())


def test_wrong_options_are_one_line_before_any_work(three, tmp_path):
    with pytest.raises(ConfigError, match=r"output=.*m.bin for format=onnx; expected a name that ends in .onnx"):
        export_model(three, tmp_path / "m.bin", format="onnx")
    with pytest.raises(ConfigError, match=r"format='tflite'; expected one of onnx, openvino, pt2, torchscript"):
        export_model(three, tmp_path / "m.tflite", format="tflite")
    with pytest.raises(ConfigError, match=r"threshold=0.5 for 3 exclusive classes; expected a model with two classes"):
        export_model(three, tmp_path / "m.pt2", format="pt2", options=GraphOptions(threshold=0.5))
    deep = Bundle(three.model, three.labels, Normalization.for_channels(3, 65535.0))
    with pytest.raises(
        ConfigError, match=r"input=uint8 for a model of images up to 65535; expected input=float or unit"
    ):
        export_model(deep, tmp_path / "m.pt2", format="pt2")
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_program_is_refused(tmp_path):
    torch.jit.script(torch.nn.ReLU()).save(str(tmp_path / "other.torchscript"))
    (tmp_path / "broken.torchscript").write_bytes(b"PK")
    for name in ("other", "broken"):
        with pytest.raises(WeightsError, match=r"has no readable metadata of xseg .*; expected a file of xseg export"):
            xseg.load(tmp_path / f"{name}.torchscript")


def test_from_the_command_line_to_masks_by_onnx_runtime_alone(three, image, tmp_path, capsys, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("XSEG_CACHE", str(tmp_path / "cache"))
    folder, file = save_bundle(three, tmp_path / "bundle"), tmp_path / "m.onnx"
    Image.fromarray(image).save(tmp_path / "a.png")
    assert main(["export", str(folder), "--output", str(file), "--images", str(tmp_path / "a.png")]) == 0
    assert "equal to the model; proof in" in capsys.readouterr().out
    np.save(tmp_path / "image.npy", image[None])
    program = (
        "import sys, numpy, onnxruntime\n"
        f"session = onnxruntime.InferenceSession({str(file)!r})\n"
        f"(labels,) = session.run(None, {{'images': numpy.load({str(tmp_path / 'image.npy')!r})}})\n"
        f"numpy.save({str(tmp_path / 'labels.npy')!r}, labels)\n"
        "assert 'xseg' not in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    (labels,) = np.load(tmp_path / "labels.npy")
    assert labels.dtype == np.uint8
    assert np.mean(labels == xseg.Predictor.from_bundle(three)(image).mask) > 0.999
    assert main(["predict", str(file), str(tmp_path / "a.png"), "--output_dir", str(tmp_path / "out")]) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "masks" / "a.png")), labels)
