"""Boundary IoU: agreement of outlines, independent of the size of objects.

Source: Cheng et al. 2021, "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", section 4, and the
authors' `boundary_iou_api`, `mask_to_boundary`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from xseg.errors import ShapeError
from xseg.metrics.metric import Counts, Metric, ratio

WIDTH_RATIO = 0.02  # relative to the image diagonal: the paper's value for COCO and LVIS, and the default of its code


class BoundaryIou(Metric):
    """IoU of the boundary bands; None for a class without boundary pixels in label and prediction."""

    name, title, overall_title, validated = "boundary_iou", "boundary IoU", "boundary IoU", False

    def count(self, label: NDArray[Any], prediction: NDArray[Any]) -> Counts:
        """Return the number of pixels of each class in both bands and in either band, (2, K) int64."""
        return boundary_counts(label, prediction, classes=self.classes, ignore_index=self.ignore_index)

    def per_class(self, counts: Counts) -> list[float | None]:
        """Return the boundary IoU of each class."""
        return [ratio(both, either) for both, either in zip(*counts.tolist(), strict=True)]


def band_width(height: int, width: int, ratio: float = WIDTH_RATIO) -> int:
    """Return the width of the boundary band in pixels: `ratio` of the diagonal, at least 1."""
    return max(1, round(ratio * float(np.hypot(height, width))))


def boundary_counts(
    label: NDArray[Any], prediction: NDArray[Any], *, classes: int, ignore_index: int, ratio: float = WIDTH_RATIO
) -> NDArray[np.int64]:
    """Count the pixels of the inner boundary bands of every class.

    The band of a class holds its pixels at most `band_width` (rows or columns) away from a pixel of another class or
    from the edge of the image. Ignored pixels belong to no band and form no boundary, as their class is unknown; the
    prediction at ignored pixels has no effect. Without ignored pixels, this is the authors' own definition.

    Args:
        label: train ids or `ignore_index`, (H, W) integers.
        prediction: train ids, (H, W) integers.
        classes: number of classes, K.
        ignore_index: label of pixels that are not counted.
        ratio: ratio of the band width to the image diagonal.

    Returns:
        Number of pixels of each class in both bands, and in either band, (2, K) int64.

    Raises:
        ShapeError: if label and prediction differ in shape.
    """
    if label.shape != prediction.shape:
        raise ShapeError(f"a label of {label.shape} and a prediction of {prediction.shape}", expected="equal shapes")
    counts = np.zeros((2, classes), np.int64)
    known = label != ignore_index
    width = band_width(label.shape[0], label.shape[1], ratio)
    present = np.unique(np.concatenate([np.unique(label[known]), np.unique(prediction[known])]))
    for index in present.tolist():
        in_label = _band(label == index, known, width)
        in_prediction = _band(prediction == index, known, width)
        counts[0, index] = np.count_nonzero(in_label & in_prediction)
        counts[1, index] = np.count_nonzero(in_label | in_prediction)
    return counts


def _band(mask: NDArray[np.bool_], known: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return the known pixels of `mask` that erosion by `width` removes; the outside of the image is another class."""
    solid = (mask | ~known).astype(np.uint8)
    # equals `width` erosions by 3x3, but is separable and fast
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    eroded = cv2.erode(solid, square, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    inner: NDArray[np.bool_] = mask & known & (eroded == 0)
    return inner
