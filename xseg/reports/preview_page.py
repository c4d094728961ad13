"""The preview as one HTML page that holds everything it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xseg.labels.label_map import LabelMap
from xseg.reports.pages import render_page


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
    present = {index for section in sections for card in section.cards for index in card.classes}
    values = {
        "title": title,
        "summary": facts,
        "classes": list(zip(labels.names, labels.colors, strict=True)),
        "present": present,
        "sections": sections,
    }
    return render_page("preview.html", values)
