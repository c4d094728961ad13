"""A decoder from outside the package: named by its class path, kept by its name, and run for the user alone."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import xseg
from xseg.bundles.bundle import Bundle, load_bundle, save_bundle
from xseg.cli import main
from xseg.errors import ConfigError, ShapeError, WeightsError
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.models.build import build_model
from xseg.models.config import ModelConfig
from xseg.training.construction import construct_model, restored_model
from xseg.training.options.task import TaskOptions

SMALL = {"encoder": "xception", "width": 0.125, "classes": 3}
LABELS = LabelMap(("a", "b", "c"))
CODE = """
from pathlib import Path

import torch
from torch import nn

Path("imported").touch()


class Sum(nn.Module):
    def __init__(self, encoder_channels, *, strides, classes):
        super().__init__()
        self.strides = strides
        self.project = nn.ModuleList(nn.Conv2d(channels, classes, 1) for channels in encoder_channels[1:])

    def forward(self, features):
        size = features[2].shape[-2:]
        maps = zip(self.project, features[1:], strict=True)
        return sum(nn.functional.interpolate(project(one), size) for project, one in maps)


function = print
"""


class Doubling(nn.Module):
    """Needs maps whose sizes double."""

    multiple = 32

    def __init__(self, encoder_channels, *, strides, classes):
        super().__init__()
        self.strides = strides
        self.last = nn.Conv2d(encoder_channels[-1] + encoder_channels[-2], classes, 1)
        self.register_buffer("level", torch.linspace(0, 1, 3)[:, None, None], persistent=False)

    def forward(self, features):
        doubled = nn.functional.interpolate(features[-1], scale_factor=2.0)
        return self.last(torch.cat([doubled, features[-2]], dim=1)) + self.level


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(CODE)
    return "mine.py:Sum"


def make(architecture, **settings):
    torch.manual_seed(0)
    return xseg.create_model(architecture, **{**SMALL, **settings}).eval()


def save(model, folder):
    return save_bundle(Bundle(model, LABELS, Normalization()), folder)


@pytest.mark.parametrize("encoder", [{}, {"encoder": "resnet18", "width": 1.0}, {"output_stride": 8}])
def test_it_scores_images_of_any_size(path, encoder):
    model = make(path, **encoder)
    assert model.config.architecture == path
    assert model.config.output_stride == encoder.get("output_stride", 16)
    assert model.decoder.strides == model.encoder.strides
    logits = model(torch.rand(2, 3, 65, 97))
    assert logits.shape == (2, 3, 65, 97)
    logits.square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.decoder.parameters())
    coarse = model.with_output_stride(32)
    assert coarse.encoder.strides[-1] == coarse.decoder.strides[-1] == 32
    assert coarse(torch.rand(1, 3, 33, 40)).shape == (1, 3, 33, 40)
    assert coarse.decoder.project[0].weight is model.decoder.project[0].weight


def test_images_are_padded_to_the_multiple_that_it_needs():
    model = make(Doubling, output_stride=32)
    assert model.multiple == 32
    assert model(torch.rand(1, 3, 65, 97)).shape == (1, 3, 65, 97)


def test_a_bundle_of_it_never_runs_code(path, tmp_path, monkeypatch):
    folder = save(make(path), tmp_path / "bundle")
    for name in [name for name in sys.modules if name.startswith("xseg_user_mine")]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "imported").unlink()
    for load in (load_bundle, xseg.load):
        with pytest.raises(WeightsError, match=r"architecture 'mine.py:Sum' is outside.*pass arch") as caught:
            load(folder)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize("given", ["path", "class"])
def test_a_bundle_of_it_loads_with_the_class(path, tmp_path, given):
    model = make(path)
    folder = save(model, tmp_path / "bundle")
    image = np.random.default_rng(0).integers(0, 256, (40, 57, 3), np.uint8)
    predictor = xseg.load(folder, architecture=path if given == "path" else type(model.decoder), device="cpu")
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        expected = model(pixels).softmax(dim=1)[0].numpy()
    np.testing.assert_allclose(predictor(image).probabilities, expected, atol=1e-5)


def test_what_it_computes_while_it_is_built_is_kept(tmp_path):
    folder = save(make(Doubling, output_stride=32), tmp_path / "bundle")
    again = load_bundle(folder, architecture=Doubling).model
    assert again.decoder.level.flatten().tolist() == [0, 0.5, 1]


def test_the_command_line_takes_it(path, tmp_path, capsys):
    save(make(path), tmp_path / "bundle")
    Image.new("RGB", (40, 35), (200, 30, 60)).save(tmp_path / "image.png")
    arguments = ["predict", "bundle", "image.png", "--output_dir", "out", "--device", "cpu", "--backend", "torch"]
    assert main(arguments) == 2
    assert "architecture 'mine.py:Sum' is outside this package" in capsys.readouterr().err
    assert main([*arguments, "--architecture", path]) == 0
    assert (tmp_path / "out" / "masks" / "image.png").is_file()


def test_a_training_builds_starts_and_resumes_it(path, tmp_path):
    options = TaskOptions(architecture=path, encoder="xception", width=0.125)
    model = construct_model(options, LABELS, in_channels=3)
    assert restored_model(options, model.config).config == model.config
    save(model, tmp_path / "other")
    absolute = replace(options, architecture=f"{tmp_path}/{path}", start_from=str(tmp_path / "other"))
    started = construct_model(absolute, LABELS, in_channels=3)
    assert torch.equal(started.decoder.project[0].weight, model.decoder.project[0].weight)


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ("mine.py:function", "is not a class|not a torch.nn.Module|cannot be built"),
        ("mine.py:Nothing", "mine.py has no 'Nothing'"),
        ("other.py:Sum", "no file other.py"),
        ("torch.nn.Linear", r"architecture='torch.nn.Linear' cannot be built: .*; expected Class\(encoder_channels"),
        ("unett", "architecture='unett'; expected one of .*, or a class path; did you mean unet"),
    ],
)
def test_what_is_no_decoder_is_refused_in_one_line(path, architecture, said):
    with pytest.raises(ConfigError, match=said) as caught:
        make(architecture)
    assert "\n" not in str(caught.value)


def test_scores_of_another_shape_are_refused():
    class Flat(Doubling):
        def forward(self, features):
            return super().forward(features).mean((2, 3))

    with pytest.raises(ShapeError, match=r"returns logits of shape \[1, 3\]; expected \(N, 3, height, width\)"):
        make(Flat, output_stride=32)(torch.rand(1, 3, 64, 64))


def test_a_class_for_another_architecture_is_refused(tmp_path):
    folder = save(make("deeplabv3plus", decoder_channels=8), tmp_path / "bundle")
    for architecture in (Doubling, "unet"):
        with pytest.raises(WeightsError, match="the model is a deeplabv3plus; expected"):
            load_bundle(folder, architecture=architecture)
    assert load_bundle(folder, architecture="deeplabv3plus").model.config.architecture == "deeplabv3plus"
    with pytest.raises(ConfigError, match="a decoder class for unet"):
        build_model(ModelConfig("unet"), Doubling)
