"""Draw masks over images, with a legend."""

from __future__ import annotations

import math
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from xseg.labels.label_map import LabelMap
from xseg.types import RGB

Pixels: TypeAlias = NDArray[np.uint8]
Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

ALPHA = 0.5  # strength of the tint by default
BACKGROUND: RGB = (255, 255, 255)
INK: RGB = (32, 33, 36)
OUTLINE: RGB = (150, 152, 156)


def displayable(image: NDArray[Any]) -> Pixels:
    """Return an image, (H, W, C) of any number type, in RGB for display, (H, W, 3) uint8.

    8-bit values are kept, others are stretched from the 2nd to the 98th percentile. A single channel is shown as grey;
    of more than three channels, the first three are shown.
    """
    image = image[..., :3] if image.shape[2] >= 3 else image[..., :1]
    if image.dtype != np.uint8:
        values = image.astype(np.float32)
        low, high = np.percentile(values, (2, 98))
        image = (((values - low) / max(float(high - low), 1e-12)).clip(0, 1) * 255).round().astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def blend(
    image: Pixels, mask: NDArray[Any], labels: LabelMap, *, alpha: float = ALPHA, outlines: bool = False
) -> Pixels:
    """Tint the pixels of each class except the background in its colour.

    Args:
        image: RGB image, (H, W, 3) uint8.
        mask: train ids, (H, W) integers; `ignore_index` and other values that are not classes leave the image
            unchanged. Of overlapping classes, (H, W, classes) of 0 and 1; a pixel has the mean colour of its classes.
        labels: label map with the colours and the background.
        alpha: strength of the tint, 0 (none) to 1 (only colour).
        outlines: whether to draw the outlines of regions in the full colour, within the regions.

    Returns:
        RGB image, (H, W, 3) uint8.
    """
    colors, tinted = _colors(mask, labels)
    strength = np.where(_outlines(mask), 1.0, alpha) * tinted if outlines else alpha * tinted
    blended = image + (colors - image) * strength[..., None].astype(np.float32)
    return blended.round().clip(0, 255).astype(np.uint8)


def _colors(mask: NDArray[Any], labels: LabelMap) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the colour of every pixel, (H, W, 3), and whether it has a class other than the background."""
    colors = np.asarray(labels.colors, np.float32)
    if mask.ndim == 3:
        present = (mask[..., labels.objects] == 1).astype(np.float32)
        count = present.sum(axis=2)
        return present @ colors[[*labels.objects]] / np.maximum(count, 1)[..., None], count > 0
    known = np.isin(mask, labels.objects)
    return colors[np.where(known, mask, 0)], known


def hatch_ignored(picture: Pixels, mask: NDArray[Any], ignore_index: int) -> Pixels:
    """Draw dark stripes over the ignored pixels of an RGB image, (H, W, 3) uint8, and return the result.

    The mask holds train ids, (H, W), or (H, W, classes) if classes overlap: a pixel is ignored if a class is.
    """
    rows, columns = np.arange(mask.shape[0])[:, None], np.arange(mask.shape[1])
    ignored = mask == ignore_index
    stripes = (ignored.any(axis=2) if mask.ndim == 3 else ignored) & ((rows + columns) % 8 < 4)
    return np.where(stripes[..., None], picture // 2, picture).astype(np.uint8)


def _outlines(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels that have a neighbour with another value at a side."""
    across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    edges = np.zeros(mask.shape, np.bool_)
    for part, differs in ((edges[:, 1:], across), (edges[:, :-1], across), (edges[1:], down), (edges[:-1], down)):
        part |= differs
    return np.logical_or.reduce(edges, axis=2) if mask.ndim == 3 else edges


@lru_cache(maxsize=32)
def font(size: int) -> Font:
    """Return the font of captions and legends, by its size in pixels."""
    # matplotlib contains DejaVu Sans, with Latin, Greek and Cyrillic letters. The path is found without importing
    # matplotlib, which is slow. The fallback, Pillow's own font, has Latin letters only.
    package = find_spec("matplotlib")
    for folder in (package and package.submodule_search_locations) or ():
        file = Path(folder) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if file.is_file():
            return ImageFont.truetype(str(file), size)
    return ImageFont.load_default(size)


def font_size(height: int, width: int) -> int:
    """Return the font size of the legend in pixels for an image of this size."""
    return min(64, max(11, round(math.sqrt(height * width) / 32)))


def add_legend(picture: Pixels, present: list[int], labels: LabelMap) -> Pixels:
    """Add a strip with the names and colours of classes below a picture.

    Args:
        picture: RGB image, (H, W, 3) uint8.
        present: train ids to list, in this order; the background and values that are no classes are left out.
        labels: label map with names and colours.

    Returns:
        RGB image, (H + strip, W, 3) uint8; the unchanged picture if no class is present.
    """
    height, width = picture.shape[:2]
    present = [index for index in present if index in labels.objects]
    if not present:
        return picture
    size = font_size(height, width)
    entries, strip_height = _lay_out(present, labels, width, size)
    canvas = Image.new("RGB", (width, height + strip_height), BACKGROUND)
    canvas.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(canvas)
    for text, color, left, top in entries:
        draw.rectangle((left, height + top, left + size - 1, height + top + size - 1), fill=color, outline=OUTLINE)
        # "lm": aligns the middle of the text with the middle of the swatch for all letters
        middle = (left + size + size // 2, height + top + size // 2)
        draw.text(middle, text, fill=INK, font=font(size), anchor="lm")
    return np.asarray(canvas)


def _lay_out(
    present: list[int], labels: LabelMap, width: int, size: int
) -> tuple[list[tuple[str, RGB, int, int]], int]:
    """Return text, colour, left and top of entries in equal columns, row by row, and the height of the strip."""
    gap, row_height = size // 2, size + size // 2
    room = width - 2 * gap
    texts = [shortened(labels.names[index], room - size - gap, size) for index in present]
    widest = max(math.ceil(font(size).getlength(text)) for text in texts) + size + 3 * gap
    columns = max(1, min(len(present), (room + 2 * gap) // widest))
    pitch = max(widest, room // columns) if columns > 1 else widest
    pitch = min(pitch, 2 * widest)  # few entries stay together on a wide picture
    entries = [
        (text, labels.colors[index], gap + position % columns * pitch, gap + position // columns * row_height)
        for position, (index, text) in enumerate(zip(present, texts, strict=True))
    ]
    return entries, math.ceil(len(present) / columns) * row_height + gap


def shortened(text: str, room: int, size: int, *, keep_end: bool = False) -> str:
    """Return the text, shortened at its end (or its start) with an ellipsis if it is wider than `room` pixels."""
    text = shown = " ".join(text.split())
    while text and font(size).getlength(shown) > room:
        text = text[1:] if keep_end else text[:-1]
        shown = f"…{text}" if keep_end else f"{text}…"
    return shown
