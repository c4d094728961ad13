"""predictions.csv: one row per input, written immediately, so that a kill loses no rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from xseg.errors import DataError
from xseg.files.atomic import write_text
from xseg.types import PathArgument

TABLE = "predictions.csv"
NUMBERS: dict[str, Callable[[str], float]] = {"width": int, "height": int, "seconds": float}


@dataclass(frozen=True)
class PredictionRow:
    """One line of predictions.csv.

    Args:
        path: path of the input, as given by the user.
        status: "ok" or "failed".
        width: width of the image in pixels; empty for a failure, like the next four.
        height: height of the image in pixels.
        seconds: time for reading and prediction.
        pixels: JSON with the number of pixels per class in the mask.
        mask: file of the mask, or folder of a video's masks, relative to the output folder.
        error: one-line error.
    """

    path: str
    status: str
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    pixels: str = ""
    mask: str = ""
    error: str = ""


COLUMNS = tuple(field.name for field in fields(PredictionRow))


def write_table(rows: Iterable[PredictionRow], path: PathArgument) -> Path:
    """Write a table, completely or not at all, and return its path; OSError if it cannot be written."""
    return write_text(path, _line(COLUMNS) + "".join(_line(astuple(row)) for row in rows))


def read_table(path: PathArgument) -> list[PredictionRow]:
    """Read the rows of a table, without a truncated last one.

    Raises:
        DataError: if the table belongs to another program or is damaged.
    """
    text = Path(path).read_bytes().decode("utf-8", errors="replace")
    records = list(csv.reader(io.StringIO(text, newline="")))
    if not records or tuple(records[0]) != COLUMNS:
        raise DataError(f"{path} has other columns", expected=",".join(COLUMNS), remedy="choose another output folder")
    body = records[1:]
    # The last line may end inside a quoted field, after a line break in it
    whole = text.endswith("\n") and text.count('"') % 2 == 0
    if body and not (whole and len(body[-1]) == len(COLUMNS)):
        body.pop()
    try:
        return [PredictionRow(**_parsed(dict(zip(COLUMNS, record, strict=True)))) for record in body]
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}", remedy="run without --resume") from error


class TableWriter:
    """A table with rows that grows row by row, in an unbuffered file, open for appending."""

    def __init__(self, file: BinaryIO, rows: Iterable[PredictionRow]) -> None:
        self._file = file
        self.rows = {row.path: row for row in rows}

    def append(self, row: PredictionRow) -> None:
        """Add a row to the file before returning; OSError if the disk is full."""
        self._file.write(_line(astuple(row)).encode())
        self.rows[row.path] = row


@contextmanager
def growing_table(path: Path, rows: Collection[PredictionRow], order: Iterable[str]) -> Iterator[TableWriter]:
    """Open a table with `rows`, which replaces an older one, for appending.

    When the context ends, also by an exception, the rows are sorted by `order`, the paths of all inputs; others stay in
    front.

    Raises:
        OSError: if the file cannot be written.
    """
    write_table(rows, path)
    with path.open("ab", buffering=0) as file:
        table = TableWriter(file, rows)
        try:
            yield table
        finally:
            place = {name: index for index, name in enumerate(order)}
            written = sorted(table.rows.values(), key=lambda row: place.get(row.path, -1))
            try:
                write_table(written, path)
            except OSError:  # on a full disk the rows stay unsorted
                if not path.is_file():
                    raise


def _parsed(texts: dict[str, str]) -> dict[str, Any]:
    """Return the values of a row for its texts; ValueError if a number is not valid."""
    return texts | {name: kind(texts[name]) if texts[name] else None for name, kind in NUMBERS.items()}


def _line(values: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
