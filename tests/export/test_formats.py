"""Every export format writes a network that computes what torch computes, at every size."""

from __future__ import annotations

import pytest
import torch

from xseg.export.format import Format
from xseg.export.formats import FORMATS
from xseg.export.verify import compare, verify
from xseg.models.architectures import build_model
from xseg.models.coarse import CoarseNetwork
from xseg.models.config import ModelConfig


@pytest.mark.parametrize("name", [pytest.param("onnx", marks=pytest.mark.slow), *sorted({*FORMATS} - {"onnx"})])
def test_what_is_written_computes_what_torch_computes(name, settled, waves, tmp_path):
    form = FORMATS[name]
    if form.missing_packages():
        pytest.skip(f"needs {form.missing_packages()}")
    torch.manual_seed(0)
    config = ModelConfig(encoder="xception", classes=4, width=0.125, decoder_channels=16, depth=3, in_channels=2)
    network = CoarseNetwork(settled(build_model(config), waves(2, 2, 65, 65)))
    form.write(network, 2, tmp_path / f"network{form.suffix}")
    session = form.read(tmp_path / f"network{form.suffix}", "float32")
    agreement = verify(session, network, 2, precision="float32", what=name)
    assert agreement == compare(session, network, 2)
    assert agreement.labels > 0.99
    assert session.workers >= 1


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_names_what_it_needs(name):
    form = FORMATS[name]
    assert form.suffix.startswith(".")
    assert form.packages
    assert "float32" in form.precisions


class Traced(Format):
    """A format of one's own: TorchScript."""

    suffix = ".pt"
    packages = ("torch",)
    extra = "traced"
    precisions = ("float32",)

    def version(self):
        return torch.__version__

    def write(self, network, channels, path):
        torch.jit.trace(network, torch.zeros(1, channels, 97, 129)).save(path)

    def read(self, path, _precision):
        module = torch.jit.load(path)
        module.workers = 1
        return module


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
def test_a_new_format_is_a_class_and_a_line(settled, waves, tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, "traced", Traced())
    test_what_is_written_computes_what_torch_computes("traced", settled, waves, tmp_path)
