"""Ablations of an Xception, one argument per study of the paper. Imports no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from xseg.errors import require

Order: TypeAlias = Literal["depthwise_first", "pointwise_first"]
Between: TypeAlias = Literal["none", "relu", "elu"]


@dataclass(frozen=True)
class Ablation:
    """Changes to an Xception; the defaults change nothing.

    Args:
        order: order of the two halves of a separable convolution: "depthwise_first" as in Xception, "pointwise_first"
            as in an Inception module (Chollet 2017, section 1.2).
        segments: number of segments into which the spatial convolution divides its channels: 1 is a full convolution,
            3 or 4 an Inception module, one per channel an Xception; null for one per channel (section 1.2). If they do
            not divide the channels evenly, segments differ by one channel.
        between: non-linearity between the two halves (section 4.7, Figure 10).
        depth_multiplier: outputs of the spatial convolution per channel.
        residual: whether the Xception has residual connections (section 4.6, Figure 9).

    Raises:
        ConfigError: if a number is below 1 or a choice is unknown.
    """

    order: Order = "depthwise_first"
    segments: int | None = None
    between: Between = "none"
    depth_multiplier: int = 1
    residual: bool = True

    def __post_init__(self) -> None:
        for name in ("segments", "depth_multiplier"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"{name}={value}", "1 or more")
        choices = {"order": ("depthwise_first", "pointwise_first"), "between": ("none", "relu", "elu")}
        for name, words in choices.items():
            require(getattr(self, name) in words, f"{name}={getattr(self, name)!r}", f"one of {', '.join(words)}")

    def __str__(self) -> str:
        """Return the changes, such as "segments=4 between=relu"; empty for none."""
        plain = asdict(Ablation())
        return " ".join(f"{name}={value}" for name, value in asdict(self).items() if value != plain[name])
