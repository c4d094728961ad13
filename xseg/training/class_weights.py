"""Class weights for the loss, measured from the training masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
