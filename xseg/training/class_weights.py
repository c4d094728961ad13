"""Class weights for the loss, as given or measured from the training masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xseg.errors import ConfigError
from xseg.training.options.recipe import ClassWeighting

UNEVEN = 10.0  # ratio of the pixels of two classes from which "auto" uses weights


def class_weights(pixels: Sequence[int], weighting: ClassWeighting) -> tuple[float, ...] | None:
    """Return the weight of each class.

    Args:
        pixels: number of labelled pixels of each class.
        weighting: "none"; "inverse": median / frequency; "inverse_sqrt": its square root; "auto": "inverse_sqrt" if the
            most frequent class has over ten times the pixels of the rarest one with pixels, else "none".

    Returns:
        One weight above 0 per class, or None for no weights. Classes without pixels have weight 1 and do not affect the
        median.

    Source: Eigen and Fergus 2015, section 6.3.2, with the share of all pixels as the frequency.
    """
    counts = np.asarray(pixels, dtype=np.float64)
    met = counts > 0
    if weighting == "auto":
        weighting = "inverse_sqrt" if met.any() and counts.max() > UNEVEN * counts[met].min() else "none"
    if weighting == "none":
        return None
    if not met.any():
        return (1.0,) * len(counts)
    ratio = np.ones_like(counts)
    ratio[met] = np.median(counts[met]) / counts[met]
    return tuple((np.sqrt(ratio) if weighting == "inverse_sqrt" else ratio).tolist())


def given_weights(names: Sequence[str], weights: Sequence[float] | Mapping[str, float]) -> tuple[float, ...]:
    """Return the weight of each class from numbers in their order or by name; 1 for names without a number.

    Raises:
        ConfigError: if there is another number of weights than of classes, or a name is unknown.
    """
    if isinstance(weights, Mapping):
        unknown = ", ".join(name for name in weights if name not in names)
        if unknown:
            raise ConfigError(f"class_weights of {unknown}", expected=f"names among {', '.join(names)}")
        return tuple(float(weights.get(name, 1.0)) for name in names)
    if len(weights) != len(names):
        got = f"{len(weights)} class_weights for {len(names)} classes"
        raise ConfigError(got, expected=f"one each for {', '.join(names)}")
    return tuple(map(float, weights))
