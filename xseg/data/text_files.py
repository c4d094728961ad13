"""Text files and tables of a data set: UTF-8, with comments and spaces around cells."""

from __future__ import annotations

import csv
from pathlib import Path

from xseg.errors import DataError


def read_text(path: Path) -> str:
    """Return the content of a text file.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error})", expected="UTF-8 text") from error


def read_lines(path: Path, expected: str) -> list[str]:
    """Return the lines of a text file without empty lines and comments (#).

    Args:
        path: path of the file.
        expected: expected content of the lines, for the error.

    Raises:
        DataError: if the file cannot be read, or has no such line.
    """
    lines = [line for line in read_text(path).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise DataError(f"{path} is empty", expected=expected)
    return lines


def read_table(path: Path, expected: str) -> tuple[list[str], list[dict[str, str]]]:
    """Return the columns and rows of a table, .csv or .tsv, with stripped names and cells; a short row lacks cells.

    Args:
        path: path of the file.
        expected: expected content of the rows, for the error.

    Raises:
        DataError: if the file cannot be read, or is empty.
    """
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    header, *rows = csv.reader(read_lines(path, expected), delimiter=delimiter, skipinitialspace=True)
    columns = [column.strip() for column in header]
    return columns, [dict(zip(columns, map(str.strip, row), strict=False)) for row in rows]
