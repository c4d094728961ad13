"""What the engine asks of a backend."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from xseg.inference.options import BackendName
from xseg.types import Precision


class Backend(Protocol):
    """Computes a network; safe to call from `workers` threads at once."""

    @property
    def name(self) -> BackendName:
        """What computes."""

    @property
    def precision(self) -> Precision:
        """What it computes in."""

    @property
    def workers(self) -> int:
        """How many calls at once use the device fully."""

    def __call__(self, images: Tensor) -> Tensor:
        """Score padded, normalised images.

        Args:
            images: (N, C, H, W) float32, in channels_last layout, on the predictor's device.

        Returns:
            The network's logits, (N, classes, h, w) float32.
        """
