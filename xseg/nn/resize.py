"""Bilinear resizing with aligned corners, and padding."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def resize(features: Tensor, height: int, width: int) -> Tensor:
    """Resize (N, C, h, w) bilinearly to (N, C, height, width) with aligned corners.

    Source: TF DeepLab always resizes with align_corners=True (`model.py`, `common.py`): with sizes of stride * k + 1,
    pixel i of a map is aligned with pixel stride * i of the image.
    """
    if features.shape[-2] == height and features.shape[-1] == width:
        return features
    return F.interpolate(features, size=[height, width], mode="bilinear", align_corners=True)


def padded_size(size: int, *, smallest: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is at least `size` and `smallest`."""
    return -(-max(size, smallest) // multiple) * multiple


def pad(images: Tensor, height: int, width: int) -> Tensor:
    """Pad (N, C, h, w) at the bottom and the right to (N, C, height, width) by repeating the border."""
    bottom, right = height - images.shape[-2], width - images.shape[-1]
    return F.pad(images, [0, right, 0, bottom], mode="replicate") if bottom or right else images
