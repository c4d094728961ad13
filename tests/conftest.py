"""Networks and inputs that tests share."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch
from hypothesis import settings
from torch import Tensor, nn

from xseg.encoders.variants import list_encoders

torch.set_num_threads(1)  # tests run side by side
settings.register_profile("untimed", deadline=None, derandomize="CI" in os.environ)  # machines may be slow
settings.load_profile("untimed")


def settle(network: nn.Module, images: Tensor, seed: int = 0) -> nn.Module:
    """Give batch normalisations affine parameters and statistics as a trained network has, all different from 0 and 1.

    Without them features would shrink from layer to layer, and a misplaced normalisation would not be noticed.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
        nn.init.uniform_(norm.bias, -0.5, 0.5, generator=generator)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


@pytest.fixture(scope="session")
def settled() -> Callable[..., nn.Module]:
    """Return the function that settles a network's batch normalisations."""
    return settle


def smooth_images(count: int, channels: int, height: int, width: int) -> Tensor:
    """Return images of waves, deterministic, (count, channels, height, width), about -1 to 1."""
    rows = torch.linspace(0, 9, height)[:, None]
    columns = torch.linspace(0, 7, width)[None, :]
    maps = [
        torch.sin(rows * (1 + 0.3 * channel) + columns * (0.5 + 0.2 * image) + channel)
        for image in range(count)
        for channel in range(channels)
    ]
    return torch.stack(maps).reshape(count, channels, height, width)


@pytest.fixture(scope="session")
def waves() -> Callable[..., Tensor]:
    """Return the function that makes smooth images."""
    return smooth_images


@pytest.fixture(params=list_encoders())
def encoder_name(request: pytest.FixtureRequest) -> str:
    """Run a test for every encoder of the registry."""
    name: str = request.param
    return name
