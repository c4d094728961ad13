"""Samples of a preview, drawn with their masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from xseg.data.loading.augmentation import training_transform
from xseg.data.loading.sampler import class_rarity
from xseg.data.loading.transforms import transform_sample
from xseg.data.masks.numbers import class_pixels
from xseg.data.options import DataOptions
from xseg.data.sample import Array, Reader
from xseg.doctor.statistics import normalization_of
from xseg.images.normalization import Normalization
from xseg.images.overlay import Pixels, displayable, hatch_ignored
from xseg.labels.label_map import LabelMap
from xseg.reports.preview_page import Card, Section
from xseg.types import Split


@dataclass(frozen=True, eq=False)
class PreviewSample:
    """One sample of a preview: (H, W, C) uint8, uint16 or float32, and train ids (H, W); None without a label."""

    name: str
    image: Array
    mask: Array | None


def chosen_samples(reader: Reader, split: Split, count: int) -> list[PreviewSample]:
    """Return samples spread evenly over a split.

    Raises:
        DataError: if the split cannot be listed or a sample cannot be read.
    """
    records = reader.records(split)
    samples = [reader.read(records[index]) for index in spread(len(records), count)]
    return [PreviewSample(sample.name, sample.image, sample.mask) for sample in samples]


def augmented_samples(
    reader: Reader,
    options: DataOptions,
    normalization: Normalization,
    *,
    count: int,
    variants: int,
    seed: int = 0,
) -> list[PreviewSample]:
    """Return augmented training samples as in the first epochs of a training.

    Raises:
        ConfigError: if the augmentation is wrong.
        DataError: if a sample cannot be read.
    """
    records = reader.records("train")
    places = spread(len(records), count)
    samples = {index: reader.read(records[index]) for index in places}
    weights: tuple[float, ...] = ()
    if options.sampling == "class_aware":
        masks = [sample.mask for sample in samples.values() if sample.mask is not None]
        classes = len(reader.labels)
        pixels = np.stack([class_pixels(mask, classes) for mask in masks])
        weights = tuple((class_rarity(pixels) ** 2).tolist())
    bands = len(reader.labels) if reader.labels.overlapping else 0
    ignore = reader.labels.ignore_index
    transform = training_transform(options, normalization, ignore, class_weights=weights, bands=bands)
    shown = []
    for index, sample in samples.items():
        if sample.mask is None:
            continue
        for epoch in range(variants):
            image, mask = transform_sample(transform, sample.image, sample.mask, seed=seed, epoch=epoch, index=index)
            shown.append(PreviewSample(f"{sample.name}, epoch {epoch + 1}", image, mask))
    return shown


def spread(length: int, count: int) -> list[int]:
    """Return up to `count` indices spread evenly over `length`, including the first and the last."""
    if count >= length:
        return list(range(length))
    return sorted({round(place) for place in np.linspace(0, length - 1, count)})


def preview_sections(
    reader: Reader,
    options: DataOptions,
    splits: Sequence[Split],
    *,
    labels: LabelMap,
    draw: Callable[..., Pixels],
    count: int,
    variants: int,
) -> list[Section]:
    """Return the samples of each split, and `variants` augmented versions of a third as many training samples.

    They are drawn with `draw(image, mask, labels)`; see `xseg.images.overlay.blend`.

    Raises:
        ConfigError: if the augmentation is wrong.
        DataError: if a sample cannot be read.
    """
    sections = []
    for split in splits:
        cards = [_card(sample, labels, draw, alone=True) for sample in chosen_samples(reader, split, count)]
        sections.append(Section(split, split, "image, and image with mask", cards))
    if variants:
        normalization = normalization_of(reader, options)
        samples = augmented_samples(reader, options, normalization, count=max(1, count // 3), variants=variants)
        note = (
            f"as in training: augmentation {options.augmentation}, crop {options.crop[0]}x{options.crop[1]}, "
            f"scale {options.scale[0]:g} to {options.scale[1]:g}"
        )
        cards = [_card(sample, labels, draw, alone=False) for sample in samples]
        sections.append(Section("augmented", "train, augmented", note, cards))
    return sections


def _card(sample: PreviewSample, labels: LabelMap, draw: Callable[..., Pixels], *, alone: bool) -> Card:
    """Draw a sample with its mask, optionally beside the image."""
    image = displayable(sample.image)
    if sample.mask is None:
        return Card(f"{sample.name} (no mask)", (image,))
    overlay = hatch_ignored(draw(image, sample.mask, labels), sample.mask, labels.ignore_index)
    classes = tuple(np.flatnonzero(class_pixels(sample.mask, len(labels))).tolist())
    return Card(sample.name, (image, overlay) if alone else (overlay,), classes)
