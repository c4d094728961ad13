"""Preview as one self-contained HTML page and as contact sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from xseg.files.atomic import atomic_path, write_text
from xseg.images.overlay import INK, add_legend, font, shortened
from xseg.labels.label_map import LabelMap
from xseg.reports.pages import render_page

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
    pictures = [_fitted(picture, width) for _, picture in tiles]
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


def _fitted(picture: NDArray[np.uint8], width: int) -> Image.Image:
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
