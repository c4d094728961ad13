"""What a model says about one image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xseg.errors import XsegError
from xseg.files.atomic import atomic_path
from xseg.images.overlay import Pixels, add_legend, blend, displayable
from xseg.labels.label_map import LabelMap
from xseg.types import PathArgument


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says about one image.

    Args:
        mask: (H, W) train ids, uint8, or uint16 if there are more than 256 classes.
        image: (H, W, C), the pixels that were predicted on.
        labels: what the train ids mean.
        probabilities: (classes, H, W) float32, which add up to 1 over the classes; None if they were not asked for.
        path: the image's file, if it came from one.
        seconds: time spent on it: reading, and its share of the batch.
    """

    mask: NDArray[Any]
    image: NDArray[Any]
    labels: LabelMap
    probabilities: NDArray[np.float32] | None = None
    path: Path | None = None
    seconds: float = 0.0

    @property
    def pixels(self) -> dict[str, int]:
        """Number of pixels per class name, of every class."""
        counts = np.bincount(self.mask.ravel(), minlength=len(self.labels)).tolist()
        return dict(zip(self.labels.names, counts, strict=True))

    def overlay(self, alpha: float = 0.5, *, legend: bool = True) -> Pixels:
        """Draw the classes over the image.

        Args:
            alpha: strength of the colours, 0 (none) to 1 (only colours).
            legend: add a strip below the image that names the classes in it.

        Returns:
            (H, W, 3) uint8 RGB; higher by the strip if there is a legend.
        """
        picture = blend(displayable(self.image), self.mask, self.labels, alpha)
        if not legend:
            return picture
        return add_legend(picture, np.unique(self.mask).tolist(), self.labels)

    def save(self, path: PathArgument) -> Path:
        """Write the mask as a PNG of train ids, whole or not at all, and return the path.

        With up to 256 classes it is an indexed PNG that viewers show in the classes' colours; beyond that 16-bit grey.

        Raises:
            OSError: if the file cannot be written.
        """
        save_mask(self.mask, self.labels, path)
        return Path(path)


@dataclass(frozen=True, eq=False)
class Failure:
    """An input that could not be predicted on.

    Args:
        path: the input's file.
        error: what was wrong, as one line.
    """

    path: Path
    error: XsegError


def save_mask(mask: NDArray[Any], labels: LabelMap, path: PathArgument) -> None:
    """Write a mask as an indexed PNG with the label map's palette (uint8) or as 16-bit grey (uint16), atomically.

    Raises:
        OSError: if the file cannot be written.
    """
    picture = Image.fromarray(mask)
    if mask.dtype == np.uint8:
        picture.putpalette(labels.palette())
    with atomic_path(path) as beside:
        # Masks are flat: more effort would hardly make them smaller, and takes as long as decoding an image
        picture.save(beside, format="PNG", compress_level=1)


def save_image(image: Pixels, path: PathArgument) -> None:
    """Write an RGB image, (H, W, 3) uint8, in the format of the path's suffix, atomically.

    Raises:
        OSError: if the file cannot be written.
    """
    with atomic_path(path) as beside:
        Image.fromarray(image).save(beside, quality=92)
