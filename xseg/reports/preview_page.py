"""The preview as one HTML page that holds everything it shows."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from xseg.labels.label_map import LabelMap
from xseg.types import RGB
from xseg.version import __version__

_LARGEST = 720  # pixels of a picture's longer side on the page


@dataclass(frozen=True, eq=False)
class Card:
    """One sample on the page.

    Args:
        name: below the pictures.
        pictures: (H, W, 3) uint8 each, side by side.
        classes: the train ids in its mask.
    """

    name: str
    pictures: tuple[NDArray[np.uint8], ...]
    classes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Section:
    """Samples under one heading.

    Args:
        name: of the section's contact sheet.
        title: the heading.
        note: what to know about them.
        cards: the samples.
    """

    name: str
    title: str
    note: str
    cards: Sequence[Card]


def render_preview(title: str, facts: Mapping[str, str], labels: LabelMap, sections: Sequence[Section]) -> str:
    """Return the page.

    Args:
        title: its heading.
        facts: what to know about the data set, each with its name.
        labels: names and colours for the legend.
        sections: what is shown.
    """
    environment = Environment(
        loader=PackageLoader("xseg.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(address=_address, color=_color)
    present = {index for section in sections for card in section.cards for index in card.classes}
    return environment.get_template("preview.html").render(
        title=title,
        facts=facts,
        classes=list(zip(labels.names, labels.colors, strict=True)),
        present=present,
        sections=sections,
        version=__version__,
    )


def _address(picture: NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    image = Image.fromarray(picture)
    image.thumbnail((_LARGEST, _LARGEST))
    image.save(stream, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _color(value: RGB) -> str:
    red, green, blue = value
    return f"#{red:02x}{green:02x}{blue:02x}"
