"""Bilinear resizing: the one place that knows `align_corners`."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def resize(features: Tensor, height: int, width: int) -> Tensor:
    """Resize (N, C, h, w) bilinearly to (N, C, height, width), corner pixels on corner pixels.

    Source: TF DeepLab resizes with align_corners=True throughout (`model.py`, `common.py`): with sizes of
    stride * k + 1, pixel i of a map lies over pixel stride * i of the image.
    """
    if features.shape[-2] == height and features.shape[-1] == width:
        return features
    return F.interpolate(features, size=[height, width], mode="bilinear", align_corners=True)
