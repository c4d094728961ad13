"""Exact confusion matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xseg.errors import DataError, ShapeError


def confusion_matrix(
    label: NDArray[Any], prediction: NDArray[Any], *, classes: int, ignore_index: int
) -> NDArray[np.int64]:
    """Count the pixels of each pair of labelled and predicted class.

    Args:
        label: train ids, (H, W) integers from 0 to `classes` - 1, or `ignore_index`.
        prediction: train ids, (H, W) integers from 0 to `classes` - 1; any values at ignored pixels.
        classes: number of classes, K.
        ignore_index: label of pixels that are not counted.

    Returns:
        Counts of pixels, (K, K), with labels as rows and predictions as columns. Matrices of several images are added.

    Raises:
        ShapeError: if label and prediction differ in shape.
        DataError: if a label or a prediction is neither a class nor ignored.
    """
    if label.shape != prediction.shape:
        raise ShapeError(f"a label of {label.shape} and a prediction of {prediction.shape}", expected="equal shapes")
    counted = label != ignore_index
    rows = label[counted].astype(np.int64)
    columns = prediction[counted].astype(np.int64)
    for what, values in (("label", rows), ("prediction", columns)):
        if values.size and not (values.min() >= 0 and values.max() < classes):
            raise DataError(
                f"a {what} with values from {values.min()} to {values.max()}",
                expected=f"0 to {classes - 1}, or {ignore_index} where ignored",
            )
    counts = np.bincount(rows * classes + columns, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)
