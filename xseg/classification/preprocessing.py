"""How an image becomes a classifier's input: drawn at random for training, always the same otherwise."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the network for its newest version

import albumentations as A
import cv2
import numpy as np

from xseg.classification.options import ClassificationDataOptions, Fit, Interpolation
from xseg.data.loading.transforms import Transform
from xseg.data.sample import Array

EVALUATION_SHARE = 0.875  # of the image's short side that the classifier sees; Inception's central crop
_INTERPOLATIONS: dict[Interpolation, int] = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}


@dataclass(frozen=True)
class Preprocessing:
    """How an image gets the size of a classifier's input; it travels with the weights.

    Args:
        size: height and width of the input in pixels.
        resize: short side in pixels before the middle is cut out; ignored by "stretch".
        fit: "crop" keeps the image's proportions, "stretch" does not.
        interpolation: how pixels are resized.
    """

    size: int
    resize: int
    fit: Fit = "crop"
    interpolation: Interpolation = "linear"

    def apply(self, image: Array) -> Array:
        """Return an image (H, W, C) as (size, size, C)."""
        method = _INTERPOLATIONS[self.interpolation]
        if self.fit == "stretch":
            return _resized(image, self.size, self.size, method)
        height, width = image.shape[:2]
        factor = self.resize / min(height, width)
        image = _resized(image, max(self.size, round(height * factor)), max(self.size, round(width * factor)), method)
        top, left = (image.shape[0] - self.size) // 2, (image.shape[1] - self.size) // 2
        return image[top : top + self.size, left : left + self.size]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def preprocessing_of(options: ClassificationDataOptions) -> Preprocessing:
    """Return what validation does to an image."""
    resize = round(options.size / EVALUATION_SHARE) if options.resize is None else options.resize
    return Preprocessing(options.size, resize, options.fit, options.interpolation)


def _resized(image: Array, height: int, width: int, method: int) -> Array:
    resized: Array = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=method)
    return resized.reshape(height, width, image.shape[2])  # OpenCV drops the axis of a single channel


def training_transform(options: ClassificationDataOptions) -> Transform:
    """Return the pipeline of training images: a random crop, resized, and mirrored by chance.

    Source: Szegedy et al. 2015, section 6 (crops of 8 to 100 % of the area, sides 3:4 to 4:3).
    """
    size = (options.size, options.size)
    crop = A.RandomResizedCrop(size=size, scale=options.scale, ratio=options.ratio, p=1)
    return A.Compose([crop, A.HorizontalFlip(p=options.flip)])


def transform_image(transform: Transform, image: Array, *, seed: int, epoch: int, index: int) -> Array:
    """Apply a pipeline with randomness that is a pure function of (seed, epoch, index)."""
    state = np.random.SeedSequence((seed, epoch, index)).generate_state(1, np.uint32)
    transform.set_random_seed(int(state[0]))
    changed: Array = transform(image=image)["image"]
    return changed
