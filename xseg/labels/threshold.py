"""Thresholds as arguments. Imports no NumPy, for `--help`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from xseg.errors import ConfigError

ThresholdArgument: TypeAlias = float | str | Mapping[str, float] | Sequence[str]
"""One number from 0 to 1, or numbers by class name; as texts, "0.4" or "NAME=0.4"."""


def threshold_texts(threshold: ThresholdArgument) -> tuple[str, ...]:
    """Return thresholds as texts, "0.4" or "NAME=0.4".

    Raises:
        ConfigError: if one is not a number from 0 to 1, or two are given for one class.
    """
    if isinstance(threshold, Mapping):
        texts = tuple(f"{name}={value}" for name, value in threshold.items())
    else:
        texts = (str(threshold),) if isinstance(threshold, float | int | str) else tuple(map(str, threshold))
    names = [parsed_threshold(text)[0] for text in texts]
    if len(set(names)) < len(names):
        raise ConfigError(f"threshold={' '.join(texts)}", expected="one number, or one per class")
    return texts


def parsed_threshold(text: str) -> tuple[str, float]:
    """Return the class name, "" for none, and the number."""
    name, _, number = text.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ConfigError(f"threshold={text}", expected="a number from 0 to 1, or NAME=NUMBER for each class")
    return name, value
