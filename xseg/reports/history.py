"""The curves of a training, read from the table that it wrote."""

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
    """The measurements of a training.

    Args:
        unit: unit of the curves' steps: "epoch", or "step" where the table has no epochs.
        curves: one per column, by its name, where it was measured; values are finite.
    """

    unit: str
    curves: dict[str, Series]


def read_history(path: PathArgument) -> History:
    """Read a table as Lightning's CSVLogger writes it: a column per value, empty where it was not measured.

    Args:
        path: metrics.csv, with a column "epoch" or "step". Of several values of one epoch the last is taken.

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
