from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from xseg.factory import create_model
from xseg.inference import receptive_field
from xseg.inference.receptive_field import (
    ReceptiveField,
    context,
    energy_radius,
    influence,
    measure_receptive_field,
    natural_noise,
)


class Box(nn.Module):
    """Averages over squares: its receptive field is known."""

    def __init__(self, side, dilation=1):
        super().__init__()
        self.convolution = nn.Conv2d(
            3, 4, side, padding=side // 2 * dilation, dilation=dilation, bias=False, padding_mode="zeros"
        )
        # Logits of different sizes, so that no mixture of them vanishes
        self.convolution.weight.data = torch.tensor([1.0, 10, 100, 1000])[:, None, None, None].expand(-1, 3, side, side)

    def forward(self, images):
        return self.convolution(images)


class Pooled(nn.Module):
    """A local branch, and a far stronger one that pools the whole image."""

    def __init__(self):
        super().__init__()
        self.local, self.pool = Box(5), nn.AdaptiveAvgPool2d(1)

    def forward(self, images):
        return self.local(images) + 1e9 * self.pool(images).sum(dim=1, keepdim=True)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(receptive_field, "SIZE", 65)
    monkeypatch.setenv("XSEG_CACHE", str(tmp_path))


@pytest.mark.parametrize(("side", "dilation", "radius"), [(1, 1, 0), (7, 1, 3), (3, 8, 8), (21, 1, 10)])
def test_the_radius_of_a_box_is_half_its_side(side, dilation, radius):
    assert measure_receptive_field(Box(side, dilation), 3).radius == radius


def test_a_field_larger_than_the_measured_square_is_half_of_it():
    assert 28 <= measure_receptive_field(Box(11, 8), 3).radius <= 32


def test_frozen_normalisation_stays_frozen():
    model = nn.Sequential(Box(3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)).train()
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    measure_receptive_field(model, 3)
    assert [module.training for module in model] == [True, False, True]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_branch_that_pools_the_whole_image_is_left_out_and_said_so():
    field = measure_receptive_field(Pooled(), 3)
    assert field.radius == 2
    assert field.pooling
    assert not measure_receptive_field(Box(3), 3).pooling


def test_influence_adds_up_to_1_and_is_the_square_of_the_gradient():
    energy = influence(Box(3), 3, 33)
    assert energy.sum() == pytest.approx(1)
    np.testing.assert_allclose(energy[15:18, 15:18], 1 / 9, rtol=1e-4)


def test_the_model_is_left_as_it_was():
    model = create_model(encoder="xception", width=0.125, decoder_channels=16, classes=3).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure_receptive_field(model, 3)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name])
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(("share", "radius"), [(0.05, 0), (0.3, 1), (0.9, 1), (0.95, 2), (1.0, 2)])
def test_the_radius_is_that_of_the_smallest_square_with_the_share(share, radius):
    energy = np.zeros((9, 9))
    energy[4, 4], energy[3, 4], energy[5, 5], energy[2, 6] = 0.1, 0.4, 0.4, 0.1
    assert energy_radius(energy, share) == radius


def test_natural_noise_has_more_of_the_low_frequencies():
    noise = natural_noise(3, 64, np.random.default_rng(0))
    assert noise.shape == (3, 64, 64)
    np.testing.assert_allclose(noise.std(axis=(1, 2)), 0.5, rtol=1e-5)
    power = np.abs(np.fft.rfft2(noise[0])) ** 2
    assert power[1:3, 1:3].mean() > 30 * power[16:24, 16:24].mean()
    assert np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1] > 0.5


def test_a_model_is_measured_once_and_weights_count(monkeypatch):
    measured = []

    def measure(model, channels):
        measured.append(model)
        return receptive_field.ReceptiveField(7 + len(measured), 0.99, False)

    monkeypatch.setattr(receptive_field, "measure_receptive_field", measure)
    torch.manual_seed(0)
    model = create_model(encoder="xception", width=0.125, decoder_channels=16, classes=3)
    other = create_model(encoder="xception", width=0.125, decoder_channels=16, classes=3)
    assert [context(model, 3), context(model, 3), context(other, 3), context(model, 3)] == [8, 8, 9, 8]
    assert len(measured) == 2
    assert [context(Box(3), 3), context(Box(3), 3)] == [10, 11], "a model without configuration is not kept"


@pytest.mark.parametrize("content", ["", "[]", '{"a": "b"', "1e9", '"7"', "\x00"])
def test_a_damaged_cache_is_measured_anew(content, monkeypatch):
    monkeypatch.setattr(receptive_field, "measure_receptive_field", lambda *_: ReceptiveField(7, 0.99, False))
    model = create_model(encoder="xception", width=0.125, decoder_channels=16, classes=3)
    assert context(model, 3) == 7
    file = receptive_field.user_cache("tiling") / "receptive_fields.json"
    (key,) = json.loads(file.read_text())
    file.write_text(f'{{"{key}": {content}}}' if content in ("1e9", '"7"') else content)
    monkeypatch.setattr(receptive_field, "measure_receptive_field", lambda *_: ReceptiveField(8, 0.99, False))
    assert context(model, 3) == 8


def test_a_cache_that_cannot_be_written_does_not_stop_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(
        receptive_field, "measure_receptive_field", lambda *_: receptive_field.ReceptiveField(5, 1, False)
    )
    (tmp_path / "xseg").write_text("a file where the folder should be")
    assert context(create_model(encoder="xception", width=0.125, decoder_channels=16, classes=3), 3) == 5
