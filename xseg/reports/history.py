"""The curves of a training, read from the table that it wrote."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from xseg.errors import DataError
from xseg.types import PathArgument


@dataclass(frozen=True)
class Curve:
    """One measured value over a training.

    Args:
        name: the table's column.
        steps: where it was measured, ascending: epochs, or steps where the table has no epochs.
        values: finite; as many as `steps`.
    """

    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class History:
    """What was measured over a training.

    Args:
        unit: what the curves' steps are: "epoch" or "step".
        curves: one per column, by name.
    """

    unit: str
    curves: dict[str, Curve]


def read_history(path: PathArgument) -> History:
    """Read a table as Lightning's CSVLogger writes it: a column per value, empty where it was not measured.

    Args:
        path: metrics.csv, with a column "epoch" or "step". Of several values of one epoch the last is taken.

    Returns:
        The curves; values that are no finite number are left out.

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


def _curve(name: str, measured: dict[float, float]) -> Curve:
    steps = tuple(sorted(measured))
    return Curve(name, steps, tuple(measured[step] for step in steps))
