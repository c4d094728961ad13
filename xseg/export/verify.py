"""Comparing a converted network with torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from xseg.errors import ConfigError
from xseg.models.coarse import CoarseNetwork
from xseg.types import Precision

# Odd and even sides, because padding differs, and two sizes, because a tracer may have kept one of them.
SIZES = ((97, 129), (66, 100))
# Of the range of the logits: rounding of float32 in another order; of bfloat16's 8 bits through a hundred layers.
TOLERANCES: dict[Precision, float] = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.05}


@dataclass(frozen=True)
class Agreement:
    """How a converted network compares with torch in float32.

    Args:
        difference: the largest difference of the logits, as a share of their range.
        labels: share of the pixels with the same best class.
    """

    difference: float
    labels: float


@torch.inference_mode()
def compare(session: Callable[[Tensor], Tensor], network: CoarseNetwork, channels: int) -> Agreement:
    """Run a converted network and the network itself on the same waves.

    Args:
        session: the converted network.
        network: the network that it should compute.
        channels: number of image channels.
    """
    differences, agreeing, pixels = [0.0], 0, 0
    for height, width in SIZES:
        images = network.pad(_waves(channels, height, width))
        images = images.contiguous(memory_format=torch.channels_last)
        expected, got = network(images), session(images)
        if got.shape != expected.shape or not got.isfinite().all():
            return Agreement(float("inf"), 0.0)
        spread = float(expected.max() - expected.min())
        differences.append(float((got - expected).abs().max()) / max(spread, 1e-30))
        agreeing += int((got.argmax(1) == expected.argmax(1)).sum())
        pixels += expected[:, 0].numel()
    return Agreement(max(differences), agreeing / pixels)


def verify(
    session: Callable[[Tensor], Tensor],
    network: CoarseNetwork,
    channels: int,
    *,
    precision: Precision,
    what: str,
    remedy: str = "",
) -> Agreement:
    """Compare a converted network with the network.

    Args:
        session: the converted network.
        network: the network that it should compute.
        channels: number of image channels.
        precision: type of the numbers that it computes in, which says how far it may be off.
        what: its name in the message.
        remedy: advice in the message.

    Raises:
        ConfigError: if it computes something else.
    """
    agreement = compare(session, network, channels)
    tolerance = TOLERANCES[precision]
    if not agreement.difference <= tolerance:
        raise ConfigError(
            f"{what} in {precision} differs from torch by {agreement.difference:.2g} of the logits' range",
            expected=f"{tolerance:g} or less",
            remedy=remedy,
        )
    return agreement


def _waves(channels: int, height: int, width: int) -> Tensor:
    """Return an image (1, channels, height, width) of waves from -1 to 1, the same every time."""
    rows = torch.linspace(0, 9, height)[:, None]
    columns = torch.linspace(0, 7, width)[None, :]
    maps = [torch.sin(rows * (1 + 0.3 * index) + columns * (0.5 + 0.2 * index) + index) for index in range(channels)]
    return torch.stack(maps)[None]
