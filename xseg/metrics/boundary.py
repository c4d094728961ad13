"""Boundary IoU: how well the outlines agree, whatever the size of the objects.

Source: Cheng et al. 2021, "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", section 4, and the
authors' `boundary_iou_api`, `mask_to_boundary`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from xseg.errors import ShapeError

WIDTH_RATIO = 0.02  # of the image's diagonal: the paper's value for COCO and LVIS, and its code's default


@dataclass(frozen=True, eq=False)
class BoundaryCounts:
    """Pixels of the label's and the prediction's boundary bands, per class; counts of several images are added up.

    Args:
        intersection: (K,) int64, pixels in both bands.
        union: (K,) int64, pixels in either band.
    """

    intersection: NDArray[np.int64]
    union: NDArray[np.int64]

    @classmethod
    def zeros(cls, classes: int) -> BoundaryCounts:
        """Return the counts of no image."""
        return cls(np.zeros(classes, np.int64), np.zeros(classes, np.int64))

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        return BoundaryCounts(self.intersection + other.intersection, self.union + other.union)

    def iou(self) -> tuple[float | None, ...]:
        """Return the boundary IoU per class, 0 to 1; None for a class that has no boundary pixel in either."""
        pairs = zip(self.intersection.tolist(), self.union.tolist(), strict=True)
        return tuple(both / either if either else None for both, either in pairs)


def band_width(height: int, width: int, ratio: float = WIDTH_RATIO) -> int:
    """Return the width of the boundary band in pixels: `ratio` of the diagonal, at least 1."""
    return max(1, round(ratio * float(np.hypot(height, width))))


def boundary_counts(
    label: NDArray[Any],
    prediction: NDArray[Any],
    *,
    classes: int,
    ignore_index: int,
    ratio: float = WIDTH_RATIO,
) -> BoundaryCounts:
    """Count the pixels of the inner boundary bands of every class.

    A class's band holds its pixels that are at most `band_width` (rows or columns) from a pixel of another class or
    from the image's edge. Ignored pixels are in no band and end no object: what is beside them is unknown, so they
    make no boundary, and the prediction under them changes nothing. Without ignored pixels this is the authors' own
    definition.

    Args:
        label: (H, W) integer train ids, or `ignore_index`.
        prediction: (H, W) integer train ids.
        classes: number of classes, K.
        ignore_index: the label whose pixels are not counted.
        ratio: width of the band over the image's diagonal.

    Returns:
        The counts of the K classes.

    Raises:
        ShapeError: if label and prediction differ in shape.
    """
    if label.shape != prediction.shape:
        raise ShapeError(f"a label of {label.shape} and a prediction of {prediction.shape}", expected="equal shapes")
    counts = BoundaryCounts.zeros(classes)
    known = label != ignore_index
    width = band_width(label.shape[0], label.shape[1], ratio)
    present = np.unique(np.concatenate([np.unique(label[known]), np.unique(prediction[known])]))
    for index in present.tolist():
        in_label = _band(label == index, known, width)
        in_prediction = _band(prediction == index, known, width)
        counts.intersection[index] = np.count_nonzero(in_label & in_prediction)
        counts.union[index] = np.count_nonzero(in_label | in_prediction)
    return counts


def _band(mask: NDArray[np.bool_], known: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return the known pixels of `mask` that an erosion by `width` removes; outside the image is another class."""
    solid = (mask | ~known).astype(np.uint8)
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)  # as `width` erosions by 3x3, but separable, so quick
    eroded = cv2.erode(solid, square, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    inner: NDArray[np.bool_] = mask & known & (eroded == 0)
    return inner
