"""Generated images of translucent shapes that overlap, with exact labels."""

from __future__ import annotations

import cv2
import numpy as np

from xseg.data.sample import Array
from xseg.labels.label_map import LabelMap

LABELS = LabelMap(("disc", "square", "stripe"), ((226, 60, 60), (60, 190, 70), (60, 90, 230)), overlapping=True)
_OPACITY = 0.5
_EMPTY = 0.1  # share of images without any shape


def overlapping_scene(seed: int, height: int, width: int) -> tuple[Array, Array]:
    """Draw up to two discs, squares and stripes over each other.

    Args:
        seed: random seed, 0 or more; the same seed and size give the same pixels.
        height: height in pixels.
        width: width in pixels.

    Returns:
        RGB image, (H, W, 3) uint8, and mask, (H, W, 3) uint8 of 0 and 1, one band per class of `LABELS`.
    """
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), rng.uniform(90, 170), np.float32)
    bands = np.zeros((len(LABELS), height, width), np.uint8)
    most = 0 if rng.random() < _EMPTY else 2
    for index, (band, color) in enumerate(zip(bands, LABELS.colors, strict=True)):
        for _ in range(int(rng.integers(0, most + 1))):
            _draw(band, index, rng)
        image += _OPACITY * band[..., None] * (np.array(color, np.float32) - image)
    image += rng.normal(0, 8, image.shape)
    return image.clip(0, 255).astype(np.uint8), np.ascontiguousarray(np.moveaxis(bands, 0, 2))


def _draw(band: Array, index: int, rng: np.random.Generator) -> None:
    """Draw a disc, square or stripe, by the index of the class, whose centre or ends are not at the edge."""
    height, width = band.shape
    x, y, x_end, y_end = (rng.uniform(0.2, 0.8, 4) * (width, height, width, height)).astype(int).tolist()
    radius = int(rng.uniform(0.15, 0.35) * min(height, width))
    if index == 0:
        cv2.circle(band, (x, y), radius, 1, -1)
    elif index == 1:
        cv2.rectangle(band, (x - radius, y - radius), (x + radius, y + radius), 1, -1)
    else:
        cv2.line(band, (x, y), (x_end, y_end), 1, radius)
