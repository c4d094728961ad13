"""Every export format writes a network that computes what torch computes, at every size."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from xseg.exporting.format import Format, coarse_program
from xseg.exporting.formats import FORMATS
from xseg.exporting.options import FormatName
from xseg.exporting.proof import compare, verify
from xseg.exporting.torch import TorchSession
from xseg.models.build import build_model
from xseg.models.coarse import CoarseNetwork
from xseg.models.config import ModelConfig


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_computes_what_torch_computes(name, settled, waves, tmp_path):
    form = FORMATS[name]
    if form.missing_packages():
        pytest.skip(f"needs {form.missing_packages()}")
    torch.manual_seed(0)
    config = ModelConfig(encoder="xception", classes=4, width=0.125, decoder_channels=16, depth=3, in_channels=2)
    network = CoarseNetwork(settled(build_model(config), waves(2, 2, 65, 65)))
    form.write(coarse_program(network, 2), tmp_path / f"network{form.suffix}")
    session = form.read(tmp_path / f"network{form.suffix}", "float32")

    def scores(images):
        (output,) = session(images)
        return output

    agreement = verify(scores, network, 2, precision="float32", what=name)
    assert agreement == compare(scores, network, 2)
    assert agreement.labels > 0.99
    assert session.workers >= 1


def test_the_command_line_knows_every_format():
    assert list(FORMATS) == list(get_args(FormatName))


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_names_what_it_needs(name):
    form = FORMATS[name]
    assert form.suffix.startswith(".")
    assert "float32" in form.precisions


class Traced(Format):
    """A format of one's own: a trace of torch's."""

    suffix = ".pt"

    def version(self):
        return torch.__version__

    def write(self, program, path):
        torch.jit.trace(program.module, program.example).save(path)

    def read(self, path, _precision):
        return TorchSession(torch.jit.load(path))

    def metadata(self, _path):
        return {}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
def test_a_new_format_is_a_class_and_a_line(settled, waves, tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, "traced", Traced())
    test_what_is_written_computes_what_torch_computes("traced", settled, waves, tmp_path)
