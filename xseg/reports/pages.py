"""Self-contained HTML pages from templates in one style, with numbers, pictures and confusion matrices."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from xseg.version import __version__

NUMBERED_CLASSES = 40  # with more classes, cells are too small for numbers


def render_page(template: str, values: Mapping[str, Any]) -> str:
    """Return a page as HTML.

    Args:
        template: name of a file in templates/.
        values: values by name in the template; text is escaped.

    Raises:
        jinja2.UndefinedError: if the template uses a name without value.
    """
    return _environment().get_template(template).render({**values, "version": __version__})


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("xseg.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(score=format_score, percent=format_percent, count=format_count, jpeg=jpeg_address)
    environment.filters["color"] = lambda color: "#{:02x}{:02x}{:02x}".format(*color)
    return environment


def jpeg_address(picture: NDArray[np.uint8], longest: int | None = None) -> str:
    """Return a picture as the data: URL of a JPEG.

    Args:
        picture: picture, (H, W, C) uint8; the first three channels are shown as RGB, a single one as grey.
        longest: largest length of the longer side in pixels; None keeps the size.
    """
    image = Image.fromarray(picture[..., :3] if picture.shape[2] >= 3 else picture[..., 0])
    if longest is not None:
        image.thumbnail((longest, longest))
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def format_score(value: float | None) -> str:
    """Return a fraction with three decimals, or a dash."""
    return "–" if value is None else f"{value:.3f}"


def format_percent(value: float | None) -> str:
    """Return a fraction in percent, or a dash."""
    return "–" if value is None else f"{100 * value:.1f} %"


def format_count(value: int) -> str:
    """Return an integer with separated thousands."""
    return f"{value:,}".replace(",", "\u202f")  # narrow no-break space, which is no decimal mark in any language


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix: pixels or images, and their share of the row, None if that is empty."""

    count: int
    share: float | None
    hint: str
    diagonal: bool

    @property
    def percent(self) -> str:
        """Share in whole percent; blank below 0.5."""
        return "" if not self.share or self.share < 0.005 else f"{100 * self.share:.0f}"


def confusion_cells(confusion: Sequence[Sequence[int]], names: Sequence[str], unit: str) -> list[list[Cell]]:
    """Return the confusion matrix with shares of each row.

    Args:
        confusion: counts with one row per label and one column per prediction.
        names: class names.
        unit: unit of the counts in the plural, for tooltips.
    """
    rows = []
    for label, counts in enumerate(confusion):
        total = sum(counts)
        row = []
        for prediction, count in enumerate(counts):
            share = count / total if total else None
            quantity = f"{format_percent(share)} ({format_count(count)} {unit})"
            hint = f"{names[label]} predicted as {names[prediction]}: {quantity}"
            row.append(Cell(count, share, hint, label == prediction))
        rows.append(row)
    return rows
