"""predictions.csv: a row per input, written as it is done, so that a kill loses nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Self

from xseg.errors import DataError
from xseg.files.atomic import write_text
from xseg.types import PathArgument

TABLE = "predictions.csv"


@dataclass(frozen=True)
class Row:
    """One line of predictions.csv.

    Args:
        path: the input, as the user named it.
        status: "ok" or "failed".
        width: of the image in pixels; empty if it failed, as for all that follow.
        height: of the image in pixels.
        seconds: time spent on reading and predicting.
        pixels: JSON, number of pixels per class that is in the mask.
        mask: the mask's file, or the folder of a video's, relative to the output folder.
        error: what was wrong.
    """

    path: str
    status: str
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    pixels: str = ""
    mask: str = ""
    error: str = ""

    @classmethod
    def from_texts(cls, texts: dict[str, str]) -> Self:
        """Return the row that was written as these texts.

        Raises:
            ValueError: if a number is none.
        """
        return cls(
            path=texts["path"],
            status=texts["status"],
            width=int(texts["width"]) if texts["width"] else None,
            height=int(texts["height"]) if texts["height"] else None,
            seconds=float(texts["seconds"]) if texts["seconds"] else None,
            pixels=texts["pixels"],
            mask=texts["mask"],
            error=texts["error"],
        )


COLUMNS = tuple(field.name for field in fields(Row))


def write_table(rows: Iterable[Row], path: PathArgument) -> Path:
    """Write a whole table, whole or not at all, and return its path.

    Raises:
        OSError: if the file cannot be written.
    """
    return write_text(path, _line(COLUMNS) + "".join(map(_row_line, rows)))


def read_table(path: PathArgument) -> list[Row]:
    """Read the rows of a table, without a last one that was cut off while it was written.

    Raises:
        DataError: if it is another program's table.
    """
    text = Path(path).read_bytes().decode("utf-8", errors="replace")
    records = list(csv.reader(io.StringIO(text, newline="")))
    if not records or tuple(records[0]) != COLUMNS:
        raise DataError(f"{path} has other columns", expected=",".join(COLUMNS), remedy="choose another output folder")
    body = records[1:]
    # A last line may end inside a quoted field, after a line break that is part of it
    whole = text.endswith("\n") and text.count('"') % 2 == 0
    if body and not (whole and len(body[-1]) == len(COLUMNS)):
        body.pop()
    try:
        return [Row.from_texts(dict(zip(COLUMNS, record, strict=True))) for record in body]
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}", remedy="run without --resume") from error


class TableWriter:
    """A table that grows by a row at a time.

    Args:
        file: open for appending, unbuffered.
        rows: those that it has already.
    """

    def __init__(self, file: BinaryIO, rows: Iterable[Row]) -> None:
        self._file = file
        self.rows = {row.path: row for row in rows}

    def append(self, row: Row) -> None:
        """Add a row; when this returns, it is in the file.

        Raises:
            OSError: if the disk is full.
        """
        self._file.write(_row_line(row).encode())
        self.rows[row.path] = row


@contextmanager
def growing_table(path: Path, rows: Collection[Row], order: Iterable[str]) -> Iterator[TableWriter]:
    """Open a table that holds `rows` and grows; at the end, however it comes, it is put in order.

    Args:
        path: the table's file; an older one is replaced.
        rows: what it holds already.
        order: the paths of all inputs; what is not among them stays in front.

    Yields:
        What to append rows to.

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
            _replace_if_possible(written, path)


def _replace_if_possible(rows: list[Row], path: Path) -> None:
    """Put the table in order; on a full disk the rows stay as they came."""
    try:
        write_table(rows, path)
    except OSError:
        if not path.is_file():
            raise


def _row_line(row: Row) -> str:
    return _line([getattr(row, name) for name in COLUMNS])


def _line(values: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
