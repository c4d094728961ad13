"""Converted networks are kept: each for its own network, and not for ever."""

from __future__ import annotations

import os

import pytest
import torch

from xseg.exporting import cache
from xseg.exporting.cache import cached_file, fingerprint
from xseg.exporting.format import Format
from xseg.models.build import build_model
from xseg.models.coarse import CoarseNetwork
from xseg.models.config import ModelConfig


class Fake(Format):
    """Writes 90 bytes, and 10 in a file beside them."""

    suffix = ".xml"

    def __init__(self, number="1"):
        self.number, self.written = number, []

    def version(self):
        return self.number

    def write(self, _program, path):
        self.written.append(path)
        path.write_bytes(bytes(90))
        path.with_suffix(".bin").write_bytes(bytes(10))

    def read(self, path, precision):
        raise NotImplementedError

    def metadata(self, path):
        raise NotImplementedError


def make():
    torch.manual_seed(0)
    return build_model(ModelConfig(encoder="xception", classes=4, width=0.125, decoder_channels=16, depth=3))


@pytest.fixture
def network(tmp_path, monkeypatch):
    monkeypatch.setenv("XSEG_CACHE", str(tmp_path))
    return CoarseNetwork(make())


def test_a_conversion_is_kept_for_the_same_network_alone(network):
    form = Fake()
    for _ in range(2):
        assert cached_file("fake", form, network, 3).stat().st_size == 90
    assert len(form.written) == 1
    newer = Fake("2")
    cached_file("fake", newer, network, 3)
    assert len(newer.written) == 1
    cached_file("fake", form, CoarseNetwork(network.model.with_output_stride(4)), 3)
    assert len(form.written) == 2
    other = make()
    before = fingerprint(CoarseNetwork(other))
    assert before == fingerprint(network)
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1
    assert fingerprint(CoarseNetwork(other)) != before
    assert not list(cache.cache_folder().glob(".converting-*"))


def test_beyond_the_size_limit_the_conversions_unused_for_longest_are_removed(network, monkeypatch):
    monkeypatch.setattr(cache, "SIZE_LIMIT", 300)
    files = {version: cached_file("fake", Fake(version), network, 3) for version in "123"}
    for age, version in enumerate("321", 1):
        os.utime(files[version].parent, (1000 - age, 1000 - age))
    cached_file("fake", Fake("1"), network, 3)  # used again, which makes it the newest
    files["4"] = cached_file("fake", Fake("4"), network, 3)
    assert [version for version, file in files.items() if file.is_file()] == ["1", "3", "4"]
    monkeypatch.setattr(cache, "SIZE_LIMIT", 1)
    assert cached_file("fake", Fake("5"), network, 3).is_file(), "the one in use stays, however large"


def test_a_conversion_that_fails_leaves_nothing(network, tmp_path):
    class Failing(Fake):
        def write(self, _program, path):
            path.write_text("half")
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        cached_file("fake", Failing(), network, 3)
    assert not list((tmp_path / "backends").iterdir())
