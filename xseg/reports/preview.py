"""Preview of a data set: samples with their masks, as one self-contained HTML page and as contact sheets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from xseg.data.loading.augmentation import training_transform
from xseg.data.loading.sampler import class_rarity
from xseg.data.loading.transforms import transform_sample
from xseg.data.masks.numbers import class_pixels
from xseg.data.options import DataOptions
from xseg.data.sample import Reader, Sample
from xseg.doctor.statistics import normalization_of
from xseg.files.atomic import atomic_path, write_text
from xseg.images.normalization import Normalization
from xseg.images.overlay import INK, Pixels, add_legend, displayable, font, hatch_ignored, shortened
from xseg.labels.label_map import LabelMap
from xseg.reports.pages import render_page
from xseg.types import Split

_GAP, _CAPTION, _SIZE = 10, 20, 12  # pixels; the last one is the size of the font
_COLUMNS = 4  # pictures in a row of a contact sheet


@dataclass(frozen=True, eq=False)
class Card:
    """One sample on the page: its name, pictures side by side, each (H, W, 3) uint8, and train ids in its mask."""

    name: str
    pictures: tuple[NDArray[np.uint8], ...]
    classes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Section:
    """Samples under one heading."""

    name: str
    title: str
    note: str
    cards: Sequence[Card]


def chosen_samples(reader: Reader, split: Split, count: int) -> list[Sample]:
    """Return samples spread evenly over a split.

    Raises:
        DataError: if the split cannot be listed or a sample cannot be read.
    """
    records = reader.records(split)
    return [reader.read(records[index]) for index in spread(len(records), count)]


def augmented_samples(
    reader: Reader,
    options: DataOptions,
    normalization: Normalization,
    *,
    count: int,
    variants: int,
    seed: int = 0,
) -> list[Sample]:
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
            shown.append(Sample(f"{sample.name}, epoch {epoch + 1}", image, mask))
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


def _card(sample: Sample, labels: LabelMap, draw: Callable[..., Pixels], *, alone: bool) -> Card:
    """Draw a sample with its mask, optionally beside the image."""
    image = displayable(sample.image)
    if sample.mask is None:
        return Card(f"{sample.name} (no mask)", (image,))
    overlay = hatch_ignored(draw(image, sample.mask, labels), sample.mask, labels.ignore_index)
    classes = tuple(np.flatnonzero(class_pixels(sample.mask, len(labels))).tolist())
    return Card(sample.name, (image, overlay) if alone else (overlay,), classes)


def write_preview(
    folder: Path, title: str, summary: Mapping[str, str], labels: LabelMap, sections: Sequence[Section]
) -> Path:
    """Write preview.html and a contact sheet per section, each completely or not at all.

    Raises:
        OSError: if a file cannot be written.
    """
    for section in sections:
        tiles = [(card.name, picture) for card in section.cards for picture in card.pictures]
        present = sorted({index for card in section.cards for index in card.classes})
        with atomic_path(folder / f"sheet_{section.name}.png") as temporary:
            Image.fromarray(add_legend(contact_sheet(tiles, columns=_COLUMNS), present, labels)).save(temporary)
    return write_text(folder / "preview.html", render_preview(title, summary, labels, sections))


def render_preview(title: str, summary: Mapping[str, str], labels: LabelMap, sections: Sequence[Section]) -> str:
    """Return the page as HTML; see `write_preview`."""
    present = {index for section in sections for card in section.cards for index in card.classes}
    values = {
        "title": title,
        "summary": summary,
        "classes": [
            (name, labels.colors[index], index in present)
            for index, name in enumerate(labels.names)
            if index != labels.background_id
        ],
        "sections": sections,
    }
    return render_page("preview.html", values)


def contact_sheet(
    tiles: Sequence[tuple[str, NDArray[np.uint8]]], *, columns: int, width: int = 300
) -> NDArray[np.uint8]:
    """Arrange pictures in a grid, each with its name below.

    Args:
        tiles: names and pictures of any sizes, (H, W, 3) uint8.
        columns: number of pictures per row.
        width: width of each picture on the sheet in pixels.

    Returns:
        The sheet on white, (H, W, 3) uint8.
    """
    sizes = [(width, max(1, round(picture.shape[0] * width / picture.shape[1]))) for _, picture in tiles]
    shrunk = zip(tiles, sizes, strict=True)
    pictures = [Image.fromarray(tile[1]).resize(size, Image.Resampling.LANCZOS) for tile, size in shrunk]
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    heights = [max(picture.height for picture in row) for row in rows]
    sheet = Image.new(
        "RGB",
        (columns * (width + _GAP) + _GAP, sum(heights) + len(rows) * (_GAP + _CAPTION) + _GAP),
        (255, 255, 255),
    )
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    for number, row in enumerate(rows):
        for place, picture in enumerate(row):
            left = _GAP + place * (width + _GAP)
            sheet.paste(picture, (left, top))
            text = shortened(tiles[number * columns + place][0], width, _SIZE, keep_end=True)  # paths differ there
            draw.text((left, top + heights[number] + 3), text, fill=INK, font=font(_SIZE))
        top += heights[number] + _CAPTION + _GAP
    return np.asarray(sheet)
