"""Curves of a training, read from its metrics.csv."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from xseg.errors import DataError
from xseg.reports.charts import Series
from xseg.types import PathArgument


@dataclass(frozen=True)
class History:
    """Measurements of a training.

    Args:
        unit: unit of the steps: "epoch", or "step" if the table has no epochs.
        curves: one curve per measured column, by name; values are finite.
    """

    unit: str
    curves: dict[str, Series]


def read_history(path: PathArgument) -> History:
    """Read a table in the format of Lightning's CSVLogger: one column per value, empty if not measured.

    Args:
        path: path of metrics.csv, with a column "epoch" or "step"; for each epoch, the last value is used.

    Returns:
        The curves; cells without a finite number are left out.

    Raises:
        DataError: if the file cannot be read or has neither column.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}", expected="a training's metrics.csv") from error
    columns = list(rows[0]) if rows else []
    unit = next((name for name in ("epoch", "step") if name in columns), None)
    if unit is None:
        raise DataError(f"{path} has columns {columns}", expected="a table with epoch or step")
    points: dict[str, dict[float, float]] = {name: {} for name in columns if name not in ("epoch", "step", None)}
    for row in rows:
        step = _number(row[unit])
        for name, measured in points.items():
            value = _number(row[name])
            if step is not None and value is not None:
                measured[step] = value
    return History(unit, {name: _curve(name, measured) for name, measured in points.items() if measured})


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _curve(name: str, measured: dict[float, float]) -> Series:
    steps = tuple(sorted(measured))
    return Series(name, steps, tuple(measured[step] for step in steps))
