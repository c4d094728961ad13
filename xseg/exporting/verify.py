"""Comparison of converted networks with torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from xseg.errors import ConfigError
from xseg.models.coarse import CoarseNetwork
from xseg.types import Precision

# Odd and even sides, because padding differs, and two sizes, because a tracer may fix one.
SIZES = ((97, 129), (66, 100))
# Tolerance relative to the range of the logits: float32 rounding in another order; 8 bits of bfloat16 in 100 layers.
TOLERANCES: dict[Precision, float] = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.05}


@dataclass(frozen=True)
class Agreement:
    """Agreement of a converted network with torch in float32.

    Args:
        difference: largest difference of the logits relative to their range.
        labels: share of pixels with the same best class.
    """

    difference: float
    labels: float


@torch.inference_mode()
def compare(session: Callable[[Tensor], Tensor], network: CoarseNetwork, channels: int) -> Agreement:
    """Compare a converted network with the original on test images of `channels` channels."""
    differences, agreeing, pixels = [0.0], 0, 0
    for height, width in SIZES:
        images = network.pad(_waves(channels, height, width)).contiguous(memory_format=torch.channels_last)
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
    """Check that a converted network agrees with the original; `precision` determines the tolerance.

    `what` is the name of the converted network in the message.

    Raises:
        ConfigError: if the difference exceeds the tolerance.
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
    """Return a deterministic image of waves from -1 to 1, (1, channels, height, width)."""
    rows = torch.linspace(0, 9, height)[:, None]
    columns = torch.linspace(0, 7, width)[None, :]
    maps = [torch.sin(rows * (1 + 0.3 * index) + columns * (0.5 + 0.2 * index) + index) for index in range(channels)]
    return torch.stack(maps)[None]
