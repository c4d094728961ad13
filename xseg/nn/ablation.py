"""What can be turned in an Xception, one knob per argument of the paper. Imports no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from xseg.errors import ConfigError

Order: TypeAlias = Literal["depthwise_first", "pointwise_first"]
Between: TypeAlias = Literal["none", "relu", "elu"]


@dataclass(frozen=True)
class Ablation:
    """How an Xception differs from the table; the defaults change nothing.

    Args:
        order: of the two halves of a separable convolution: "depthwise_first" as Xception has it, "pointwise_first" as
            an Inception module has it (Chollet 2017, section 1.2).
        segments: into how many segments the spatial convolution divides its channels: 1 is a full convolution, 3 or 4
            an Inception module, one per channel an Xception; null for one per channel (section 1.2). Where they do
            not divide the channels, segments differ by one channel.
        between: the non-linearity between the two halves (section 4.7, Figure 10).
        depth_multiplier: outputs of the spatial convolution per channel.
        residual: false for an Xception without its residual connections (section 4.6, Figure 9).

    Raises:
        ConfigError: if a number is below 1 or a word is none of those above.
    """

    order: Order = "depthwise_first"
    segments: int | None = None
    between: Between = "none"
    depth_multiplier: int = 1
    residual: bool = True

    def __post_init__(self) -> None:
        for name in ("segments", "depth_multiplier"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value}", expected="1 or more")
        choices = {"order": ("depthwise_first", "pointwise_first"), "between": ("none", "relu", "elu")}
        for name, words in choices.items():
            if getattr(self, name) not in words:
                raise ConfigError(f"{name}={getattr(self, name)!r}", expected=f"one of {', '.join(words)}")

    def __str__(self) -> str:
        """Return what differs from the table, such as "segments=4 between=relu"; empty for nothing."""
        plain = asdict(Ablation())
        return " ".join(f"{name}={value}" for name, value in asdict(self).items() if value != plain[name])
