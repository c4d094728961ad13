"""Images of one class each: how they become a classifier's input, at random for training, else always the same."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the network for its newest version

import albumentations as A
import cv2
import numpy as np

from xseg.data.cache import MemoryCache
from xseg.data.loading.dataset import RecordDataset
from xseg.data.loading.transforms import Transform, seed_transform
from xseg.data.options import ClassDataOptions, Fit, Interpolation
from xseg.data.sample import Array, ClassReader, Record, Sample
from xseg.images.normalization import Normalization
from xseg.types import Split

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


def preprocessing_of(options: ClassDataOptions) -> Preprocessing:
    """Return what validation does to an image."""
    resize = round(options.size / EVALUATION_SHARE) if options.resize is None else options.resize
    return Preprocessing(options.size, resize, options.fit, options.interpolation)


def _resized(image: Array, height: int, width: int, method: int) -> Array:
    resized: Array = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=method)
    return resized.reshape(height, width, image.shape[2])  # OpenCV drops the axis of a single channel


def training_transform(options: ClassDataOptions) -> Transform:
    """Return the pipeline of training images: a random crop, resized, and mirrored by chance.

    Source: Szegedy et al. 2015, section 6 (crops of 8 to 100 % of the area, sides 3:4 to 4:3).
    """
    size = (options.size, options.size)
    crop = A.RandomResizedCrop(size=size, scale=options.scale, ratio=options.ratio, p=1)
    return A.Compose([crop, A.HorizontalFlip(p=options.flip)])


class ClassificationDataset(RecordDataset):
    """Images of one class each: items have `target`, their class, and `index`, their position in the split.

    Args:
        reader: the data set.
        split: which part of it.
        options: how an image is prepared: at random for the training split, always the same for the others.
        normalization: that of the image's channels.
        seed: seed of the random changes, 0 or more.
    """

    def __init__(
        self,
        reader: ClassReader,
        split: Split,
        *,
        options: ClassDataOptions,
        normalization: Normalization,
        seed: int = 0,
    ) -> None:
        records = reader.records(split)
        super().__init__(
            MemoryCache(reader, records) if options.cache else reader,
            records,
            normalization=normalization,
            transform=training_transform(options) if split == "train" else None,
            seed=seed,
        )
        self.targets, self.preprocessing = reader.targets(split), preprocessing_of(options)

    def prepare(self, sample: Sample, record: Record, epoch: int, index: int) -> tuple[Array, dict[str, Any]]:  # noqa: ARG002
        """Return the image at the input's size, and its class."""
        if self.transform is None:
            image = self.preprocessing.apply(sample.image)
        else:
            seed_transform(self.transform, seed=self.seed, epoch=epoch, index=index)
            image = self.transform(image=sample.image)["image"]
        return image, {"target": self.targets[index], "index": index}

    def picture(self, index: int) -> Array:
        """Return an image as the classifier sees it, (size, size, C) uint8, for a person to look at.

        Raises:
            DataError: if the file cannot be read.
        """
        image = self.preprocessing.apply(self.source.read(self.records[index]).image)
        scaled: Array = np.clip(image / self.normalization.maximum * 255, 0, 255).astype(np.uint8)
        return scaled
