"""Which samples a preview shows, and contact sheets of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from xseg.data.loading.augmentation import training_transform
from xseg.data.loading.sampler import class_rarity
from xseg.data.loading.transforms import transform_sample
from xseg.data.options import DataOptions
from xseg.data.sample import Array, Reader
from xseg.images.normalization import Normalization
from xseg.types import Split

_GAP, _CAPTION = 10, 20  # pixels


@dataclass(frozen=True, eq=False)
class PreviewSample:
    """One sample to look at.

    Args:
        name: the record's name, with what was done to it.
        image: (H, W, C) uint8, uint16 or float32.
        mask: (H, W) train ids; None if the image has no label.
    """

    name: str
    image: Array
    mask: Array | None


def chosen_samples(reader: Reader, split: Split, count: int) -> list[PreviewSample]:
    """Return samples spread evenly over a split.

    Raises:
        DataError: if the split cannot be listed, or a sample not be read.
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
    """Return training samples as training sees them in its first epochs.

    Args:
        reader: the data set.
        options: the training's.
        normalization: the training's; its mean is the padding.
        count: number of images, spread evenly over the training split.
        variants: number of epochs of each.
        seed: the training's.

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
        pixels = np.stack([np.bincount(mask.ravel(), minlength=classes)[:classes] for mask in masks])
        weights = tuple((class_rarity(pixels) ** 2).tolist())
    transform = training_transform(options, normalization, reader.labels.ignore_index, class_weights=weights)
    shown = []
    for index, sample in samples.items():
        if sample.mask is None:
            continue
        for epoch in range(variants):
            image, mask = transform_sample(transform, sample.image, sample.mask, seed=seed, epoch=epoch, index=index)
            shown.append(PreviewSample(f"{sample.name}, epoch {epoch + 1}", image, mask))
    return shown


def spread(length: int, count: int) -> list[int]:
    """Return up to `count` places evenly over `length`, the first and the last among them."""
    if count >= length:
        return list(range(length))
    return sorted({round(place) for place in np.linspace(0, length - 1, count)})


def striped(picture: NDArray[np.uint8], mask: Array, ignore_index: int) -> NDArray[np.uint8]:
    """Darken stripes where a mask is ignored.

    Args:
        picture: (H, W, 3) uint8.
        mask: (H, W) train ids.
        ignore_index: the ignored value.

    Returns:
        (H, W, 3) uint8.
    """
    rows, columns = np.arange(mask.shape[0])[:, None], np.arange(mask.shape[1])
    stripes = (mask == ignore_index) & ((rows + columns) % 8 < 4)
    return np.where(stripes[..., None], picture // 2, picture).astype(np.uint8)


def contact_sheet(
    tiles: Sequence[tuple[str, NDArray[np.uint8]]], *, columns: int, width: int = 300
) -> NDArray[np.uint8]:
    """Set pictures in a grid, each with its name below.

    Args:
        tiles: names and pictures, (H, W, 3) uint8, of any sizes.
        columns: number of pictures in a row.
        width: of each picture on the sheet, in pixels.

    Returns:
        (H, W, 3) uint8 on white.
    """
    pictures = [_fitted(picture, width) for _, picture in tiles]
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    heights = [max(picture.height for picture in row) for row in rows]
    sheet = Image.new(
        "RGB",
        (columns * (width + _GAP) + _GAP, sum(heights) + len(rows) * (_GAP + _CAPTION) + _GAP),
        (255, 255, 255),
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    top = _GAP
    for number, row in enumerate(rows):
        for place, picture in enumerate(row):
            left = _GAP + place * (width + _GAP)
            sheet.paste(picture, (left, top))
            text = _shortened(tiles[number * columns + place][0], width, font)
            draw.text((left, top + heights[number] + 3), text, fill=(32, 33, 36), font=font)
        top += heights[number] + _CAPTION + _GAP
    return np.asarray(sheet)


def _fitted(picture: NDArray[np.uint8], width: int) -> Image.Image:
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)


def _shortened(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Return the text's end, as a path's is what tells it apart, so that it is at most `width` pixels wide."""
    text = text.encode("ascii", "replace").decode()
    if font.getlength(text) <= width:
        return text
    while len(text) > 1 and font.getlength(f"...{text}") > width:
        text = text[1:]
    return f"...{text}"
