"""Effective receptive field of a model, measured by gradients.

Source: Luo et al. 2016, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", section 3:
the influence of an input pixel on an output is the gradient of the output with respect to it, averaged over inputs.

Image pooling (in the ASPP) depends on all pixels, but so weakly on each that no overlap would help: its output is held
constant here. Its input depends on the size of the tile: see docs/tiling.md.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xseg.exporting.exported import ExportedModel
from xseg.files.atomic import write_text
from xseg.files.caches import user_cache
from xseg.models.config import ModelConfig
from xseg.nn.aspp import ImagePooling

SHARE = 0.99
SIZE = 513  # side of the inputs in pixels; pixels farther away than 256 have little influence but high costs
SAMPLES = 4
_POOLING = (ImagePooling, nn.AdaptiveAvgPool2d)


@dataclass(frozen=True)
class ReceptiveField:
    """Effective receptive field of a model.

    Args:
        radius: pixels to each side of the square that holds `share` of the energy of the gradient.
        share: share of the energy, 0 to 1.
        pooling: whether image pooling was left out.
    """

    radius: int
    share: float
    pooling: bool


def measure_receptive_field(model: nn.Module, channels: int, *, share: float = SHARE) -> ReceptiveField:
    """Measure a model's effective receptive field.

    Args:
        model: module from normalised images (N, channels, H, W) float32 to logits (N, classes, H, W), on any device.
            Weights and mode are not changed.
        channels: number of input channels.
        share: share of the energy of the gradient in the field, 0 to 1.

    Returns:
        The receptive field; its radius is at most half of `SIZE`.
    """
    radius = energy_radius(influence(model, channels, SIZE), share)
    return ReceptiveField(radius, share, any(isinstance(module, _POOLING) for module in model.modules()))


def influence(model: nn.Module, channels: int, size: int) -> NDArray[np.float64]:
    """Return the influence of each input pixel on the output pixel in the middle, (size, size), with sum 1.

    The influence is the squared gradient of a random mixture of the middle pixel's logits, averaged over images with
    the spectrum of photographs and over positions of the pixel in the model's coarse grid.
    """
    device = next(model.parameters()).device
    generator = np.random.default_rng(0)
    total = np.zeros((size, size))
    with _evaluating(model), _without_pooling(model), torch.enable_grad():
        for _ in range(SAMPLES):
            image = torch.from_numpy(natural_noise(channels, size, generator)).to(device)[None].requires_grad_()
            row, column = (size // 2 + int(shift) for shift in generator.integers(-8, 8, 2))
            logits: Tensor = model(image)[0, :, row, column]
            signs = torch.from_numpy(generator.choice((-1.0, 1.0), len(logits))).to(logits)
            (gradient,) = torch.autograd.grad((logits * signs).sum(), image)
            squared = gradient[0].double().square().sum(dim=0).cpu().numpy()
            shifted = np.roll(squared, (size // 2 - row, size // 2 - column), axis=(0, 1))
            total += shifted / max(shifted.sum(), 1e-300)
    return total / SAMPLES


def energy_radius(energy: NDArray[np.float64], share: float) -> int:
    """Return half the side, rounded down, of the smallest centred square that holds `share` (0 to 1) of the energy.

    The energies, (size, size), are not negative; the size is odd.
    """
    size = len(energy)
    distance = np.abs(np.arange(size) - size // 2)
    rings = np.bincount(np.maximum(distance[:, None], distance).ravel(), energy.ravel(), minlength=size // 2 + 1)
    inside = rings.cumsum() / max(rings.sum(), 1e-300)
    return min(int(np.searchsorted(inside, share)), size // 2)


def natural_noise(channels: int, size: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return noise whose amplitude falls with frequency, as in photographs, and channels that correlate like colours.

    Returns:
        Noise, (channels, size, size) float32, with mean 0 and standard deviation 0.5, similar to normalised images.

    Source: Field 1987, "Relations between the statistics of natural images and the response properties of cortical
    cells": amplitude falls as 1 / frequency.
    """
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    frequency[0, 0] = math.inf
    common = generator.standard_normal((1, size, size))
    white = common + 0.5 * generator.standard_normal((channels, size, size))
    noise = np.fft.irfft2(np.fft.rfft2(white) / frequency, s=(size, size))
    return np.asarray(0.5 * noise / noise.std(axis=(1, 2), keepdims=True), np.float32)


def context(model: nn.Module, channels: int) -> int:
    """Return the radius of a model's effective receptive field in pixels, measured once per model.

    The model is a module from (N, channels, H, W) to logits. The result is kept in the user's cache for later runs.
    Configuration and last layer identify a model; a model without configuration is not cached. An exported file has no
    gradients, but says its context.
    """
    if isinstance(model, ExportedModel):
        return model.context
    key = _fingerprint(model)
    file = user_cache("tiling") / "receptive_fields.json"
    known = _read_cache(file)
    if key in known:
        return known[key]
    radius = measure_receptive_field(model, channels).radius
    if key:
        # The cache only saves time, so prediction continues if it cannot be written.
        with suppress(OSError):
            write_text(file, json.dumps({**_read_cache(file), key: radius}, indent=1))
    return radius


def _fingerprint(model: nn.Module) -> str:
    config = getattr(model, "config", None)
    if not isinstance(config, ModelConfig):
        return ""
    digest = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode())
    for parameter in list(model.parameters())[-2:]:
        digest.update(parameter.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


def _read_cache(file: Path) -> dict[str, int]:
    """Return cached measurements; none if the file is missing or damaged."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return {key: value for key, value in values.items() if isinstance(value, int) and 0 <= value <= SIZE // 2}
    except (AttributeError, OSError, ValueError):
        return {}


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, and restore the mode of each module afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True  # not train(), which would change frozen modules inside


@contextmanager
def _without_pooling(model: nn.Module) -> Iterator[None]:
    """Block gradients through image pooling."""
    with ExitStack() as hooks:
        for module in model.modules():
            if isinstance(module, _POOLING):
                hooks.enter_context(module.register_forward_hook(lambda _, __, output: output.detach()))
        yield
