"""The catalogue as a table."""

from __future__ import annotations

from collections.abc import Sequence

from xseg.weights.catalogue.entries import CATALOGUE, Entry, HubFile

HEADER = ("name", "also", "origin", "what", "MB", "checksum", "licence", "input", "published score")


def table() -> list[str]:
    """Return the catalogue as lines of a Markdown table with aligned columns."""
    rows = [_cells(entry) for entry in CATALOGUE]
    widths = [max(len(row[column]) for row in (HEADER, *rows)) for column in range(len(HEADER))]
    rule = tuple("-" * width for width in widths)
    return [_line(row, widths) for row in (HEADER, rule, *rows)]


def places() -> list[str]:
    """Return one line per entry with the address of the file and the source of its data."""
    lines = []
    for entry in CATALOGUE:
        place = entry.place
        where = f"Hugging Face Hub {place.repo}, {place.filename}" if isinstance(place, HubFile) else place.url
        lines.append(f"- {entry.key}: {where}. Source: {entry.source}")
    return lines


def _cells(entry: Entry) -> tuple[str, ...]:
    what = "encoder" if not entry.whole else "DeepLabV3+, classes " + str(entry.classes or "not published")
    return (
        entry.key,
        ", ".join(entry.names[1:]),
        entry.origin,
        what,
        "" if entry.megabytes is None else f"{entry.megabytes:g}",
        entry.checksum,
        entry.license,
        entry.input_range,
        entry.score,
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
