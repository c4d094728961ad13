from __future__ import annotations

import pytest
from torch import nn

from xseg.errors import ConfigError, DataError
from xseg.inference import memory
from xseg.inference.memory import bytes_per_pixel, choose_tiling, refuse_oversized
from xseg.inference.tiling import Tiling


class Chain(nn.Module):
    """Holds exactly one map of `width` channels beside its input and output at a time."""

    def __init__(self, width=64):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, width, 1), nn.Conv2d(width, 2, 1)
        self.runs = 0

    def forward(self, images):
        self.runs += 1
        return self.last(self.first(images))


@pytest.fixture
def model():
    return Chain().eval()


def with_free(monkeypatch, size):
    monkeypatch.setattr(memory, "free_memory", lambda *_: size)


def test_a_models_need_is_its_largest_set_of_living_tensors(model):
    needed = 4 * (3 + 64 + 2)  # bytes of input, map and logits per pixel
    assert bytes_per_pixel(model, 3) == pytest.approx(memory.WORKSPACE * needed, rel=0.02)
    assert bytes_per_pixel(Chain(128), 3) == pytest.approx(memory.WORKSPACE * 4 * (3 + 128 + 2), rel=0.02)


def test_a_model_is_measured_once_and_no_gradients_are_kept(model):
    assert bytes_per_pixel(model, 3) == bytes_per_pixel(model, 3)
    assert model.runs == 1
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_image_that_fits_into_half_of_the_memory_is_not_cut(model, monkeypatch):
    needed = 1000 * 1000 * bytes_per_pixel(model, 3)
    with_free(monkeypatch, 2.01 * needed)
    assert choose_tiling(model, 1000, 1000, channels=3, overlap=64) == Tiling(0, 0)
    with_free(monkeypatch, 1.99 * needed)
    assert choose_tiling(model, 1000, 1000, channels=3, overlap=64).tile > 0


@pytest.mark.parametrize(("scale", "batch_size"), [(1.0, 1), (2.0, 1), (1.0, 3)])
def test_the_largest_tile_that_fits_is_taken(model, monkeypatch, scale, batch_size):
    with_free(monkeypatch, 2 * 1100**2 * scale**2 * batch_size * bytes_per_pixel(model, 3))
    tiling = choose_tiling(model, 9000, 9000, channels=3, overlap=100, scale=scale, batch_size=batch_size)
    assert tiling == Tiling(1089, 100)
    assert (tiling.tile - 1) % 32 == 0


def test_tiles_are_neither_tiny_nor_huge(model, monkeypatch):
    with_free(monkeypatch, 1)
    assert choose_tiling(model, 9000, 9000, channels=3, overlap=64).tile == memory.SMALLEST_TILE
    assert choose_tiling(model, 9000, 9000, channels=3, overlap=300).tile == 600
    with_free(monkeypatch, 1e12)
    assert choose_tiling(model, 10**6, 10**6, channels=3, overlap=64).tile == memory.LARGEST_TILE


def test_an_asked_for_tile_is_taken_without_measuring(model):
    assert choose_tiling(model, 900, 900, channels=3, tile=500, overlap=20) == Tiling(500, 20)
    assert choose_tiling(model, 900, 900, channels=3, tile=0) == Tiling(0, 0)
    assert choose_tiling(model, 90, 90, channels=3, tile=100) == Tiling(0, 0)
    assert model.runs == 0
    with pytest.raises(ConfigError, match="at most half a tile"):
        choose_tiling(model, 900, 900, channels=3, tile=100, overlap=51)


def test_the_overlap_is_twice_the_receptive_field_as_far_as_the_tile_allows(model, monkeypatch):
    monkeypatch.setattr(memory, "context", lambda *_: 70)
    assert choose_tiling(model, 900, 900, channels=3, tile=512) == Tiling(512, 160)
    assert choose_tiling(model, 900, 900, channels=3, tile=200) == Tiling(200, 100)


def test_a_picture_larger_than_the_memory_is_refused_with_what_to_convert_it_to(monkeypatch):
    with_free(monkeypatch, 2 * 3 * 2**30)
    refuse_oversized("photo.png", 2**15, 2**15, channels=3)
    with pytest.raises(DataError, match=r"photo.png has 32768x32769 pixels, 3.0 GiB.*gdal_translate -co TILED=YES"):
        refuse_oversized("photo.png", 2**15, 2**15 + 1, channels=3)
