"""Images for classification, augmented at random for training, and preprocessed for evaluation."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # otherwise the import checks online for a newer version

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

EVALUATION_SHARE = 0.875  # share of the short side in Inception's central crop


@dataclass(frozen=True)
class Preprocessing:
    """Resizing of an image to the input size of a classifier, stored with the weights.

    Args:
        size: height and width of the input in pixels.
        resize: short side in pixels before the centre crop; ignored by "stretch".
        fit: "crop" keeps the aspect ratio of the image, "stretch" does not.
        interpolation: interpolation method.
    """

    size: int
    resize: int
    fit: Fit = "crop"
    interpolation: Interpolation = "linear"

    def apply(self, image: Array) -> Array:
        """Return an image (H, W, C) resized to (size, size, C)."""
        method = getattr(cv2, f"INTER_{self.interpolation.upper()}")
        if self.fit == "stretch":
            return _resized(image, self.size, self.size, method)
        height, width = image.shape[:2]
        factor = self.resize / min(height, width)
        image = _resized(image, max(self.size, round(height * factor)), max(self.size, round(width * factor)), method)
        top, left = (image.shape[0] - self.size) // 2, (image.shape[1] - self.size) // 2
        return image[top : top + self.size, left : left + self.size]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold."""
        return asdict(self)


def preprocessing_of(options: ClassDataOptions) -> Preprocessing:
    """Return the preprocessing of validation images."""
    resize = round(options.size / EVALUATION_SHARE) if options.resize is None else options.resize
    return Preprocessing(options.size, resize, options.fit, options.interpolation)


def _resized(image: Array, height: int, width: int, method: int) -> Array:
    resized: Array = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=method)
    return resized.reshape(height, width, image.shape[2])  # OpenCV drops the axis of a single channel


def training_transform(options: ClassDataOptions) -> Transform:
    """Return the pipeline for training images: a random crop, resized and randomly mirrored.

    Source: Szegedy et al. 2015, section 6 (crops of 8 to 100 % of the area, sides 3:4 to 4:3).
    """
    size = (options.size, options.size)
    crop = A.RandomResizedCrop(size=size, scale=options.scale, ratio=options.ratio, p=1)
    return A.Compose([crop, A.HorizontalFlip(p=options.flip)])


class ClassificationDataset(RecordDataset):
    """Images with one class each; samples have `target`, their class, and `index`, their position in the split.

    Args:
        reader: reader of the data set.
        split: train, val or test.
        options: data options, with augmentation for the training split and preprocessing for the others.
        normalization: normalisation of the images.
        seed: random seed of the augmentation, 0 or more.
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
        """Return the image at the input size, and its class."""
        if self.transform is None:
            image = self.preprocessing.apply(sample.image)
        else:
            seed_transform(self.transform, seed=self.seed, epoch=epoch, index=index)
            image = self.transform(image=sample.image)["image"]
        return image, {"target": self.targets[index], "index": index}

    def picture(self, index: int) -> Array:
        """Return an image at the input size, (size, size, C) uint8, for display.

        Raises:
            DataError: if the file cannot be read.
        """
        image = self.preprocessing.apply(self.source.read(self.records[index]).image)
        scaled: Array = np.clip(image / self.normalization.maximum * 255, 0, 255).astype(np.uint8)
        return scaled
