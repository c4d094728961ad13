"""A new architecture is a module and a line of the table."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

import xseg
from xseg.bundles.bundle import Bundle, load_bundle, save_bundle
from xseg.errors import ConfigError
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.models.architectures import ARCHITECTURES, Architecture
from xseg.models.config import ModelOptions

CODE = """
from torch import nn

from xseg.models.segmentation import SegmentationModel, build_encoder


class Plain(SegmentationModel):
    def __init__(self, config):
        super().__init__(config)
        self.encoder = build_encoder(config)
        self.decoder = nn.Identity()
        self.segmentation_head = nn.Conv2d(self.encoder.out_channels[-1], config.classes, 1)

    def coarse(self, images):
        return self.segmentation_head(self.decoder(self.encoder(images)[-1]))
"""


@pytest.fixture
def plain(tmp_path, monkeypatch):
    (tmp_path / "plain_architecture.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(ARCHITECTURES, "plain", Architecture("plain_architecture.Plain", 8))
    yield "plain"
    sys.modules.pop("plain_architecture", None)


def test_a_new_architecture_is_a_class_and_a_line(plain, tmp_path):
    model = xseg.create_model(plain, encoder="xception", width=0.125, classes=2).eval()
    assert model.config.output_stride == 8
    assert model(torch.rand(1, 3, 65, 70)).shape == (1, 2, 65, 70)
    folder = save_bundle(Bundle(model, LabelMap(("a", "b")), Normalization()), tmp_path / "bundle")
    assert load_bundle(folder).model.with_output_stride(16).config.architecture == plain
    image = (torch.rand(40, 50, 3) * 255).to(torch.uint8).numpy()
    assert xseg.load(folder, device="cpu")(image).mask.shape == (40, 50)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_has_its_own_output_stride_where_none_is_asked_for(name):
    config = ModelOptions(name, encoder="xception", width=0.125).model_config(classes=2, in_channels=4)
    assert config.output_stride == ARCHITECTURES[name].output_stride
    assert (config.classes, config.in_channels) == (2, 4)


class Last(nn.Module):
    def __init__(self, encoder_channels, *, strides, classes):  # noqa: ARG002 - the interface of decoders
        super().__init__()
        self.last = nn.Conv2d(encoder_channels[-1], classes, 1)

    def forward(self, features):
        return self.last(features[-1])


@pytest.mark.parametrize("name", [*ARCHITECTURES, Last], ids=str)
def test_a_binary_model_has_one_output_and_the_logits_of_two_classes(name):
    make = partial(xseg.create_model, name, encoder="xception", width=0.125, decoder_channels=8, classes=2)
    model = make(binary=True).eval()
    counts = [sum(each.numel() for each in part.parameters()) for part in (model, make())]
    assert counts[0] < counts[1]
    with torch.no_grad():
        logits = model(torch.rand(1, 3, 65, 70))
    assert logits.shape == (1, 2, 65, 70)
    z, target = logits[:, 1], torch.arange(65 * 70).reshape(1, 65, 70) % 2
    assert not logits[:, 0].any()
    assert z.any()
    torch.testing.assert_close(logits.softmax(1), torch.stack([1 - z.sigmoid(), z.sigmoid()], 1))
    expected = functional.binary_cross_entropy_with_logits(z, target.float())
    torch.testing.assert_close(functional.cross_entropy(logits, target), expected)


def test_a_binary_model_has_two_classes():
    with pytest.raises(ConfigError, match="binary=true with 3 classes; expected 2"):
        xseg.create_model(encoder="xception", width=0.125, classes=3, binary=True)


def test_a_mistyped_name_is_answered_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"architecture='deeplabv3pluss'; expected one of .*; did you mean deeplabv3plus"
    ):
        ModelOptions("deeplabv3pluss")


def test_the_table_imports_neither_torch_nor_smp():
    code = (
        "import sys, xseg.models.architectures, xseg.models.config; "
        "sys.exit(bool({'torch', 'segmentation_models_pytorch'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
