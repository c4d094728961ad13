"""Findings of the doctor, with their places and mechanical repairs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

from xseg.types import Split

Severity: TypeAlias = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
RepairKind: TypeAlias = Literal["leave_out", "one_channel", "colors", "renumber", "shallow", "turn", "resize", "suffix"]
SHOWN = 5  # places listed per finding


@dataclass(frozen=True, slots=True)
class Place:
    """One file of a finding, or a split by name, with details, such as "value 37 in 768 pixels"."""

    path: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Repair:
    """One mechanical change to one file of a corrected copy.

    Args:
        path: path of the original file.
        kind: "leave_out" does not copy it; "one_channel" keeps the first of equal channels and drops transparency;
            "colors" converts the label map's colours to numbers; "renumber" replaces numbers; "shallow" writes 8 bits;
            "turn" applies an orientation; "resize" changes the size with nearest neighbour; "suffix" renames the file.
        table: pairs of an old and a new number for "renumber".
        number: EXIF orientation for "turn".
        size: height and width in pixels for "resize".
        suffix: new suffix for "suffix", with its dot.
    """

    path: Path
    kind: RepairKind
    table: tuple[tuple[int, int], ...] = ()
    number: int = 1
    size: tuple[int, int] = (0, 0)
    suffix: str = ""


@dataclass(frozen=True)
class Finding:
    """One fault or note about a data set.

    Args:
        check: name of the check, for example "unknown-values".
        severity: "error": training would stop or learn something wrong; "warning": probably not intended; "note": for
            information.
        split: split of the finding; None for several.
        title: description of the fault in one sentence, with counts.
        remedy: suggested action.
        count: number of places.
        places: first places.
        repairs: changes by `--write-fixed`; empty if judgement is needed.
        numbers: figures for JSON output.
    """

    check: str
    severity: Severity
    split: Split | None
    title: str
    remedy: str
    count: int = 1
    places: tuple[Place, ...] = ()
    repairs: tuple[Repair, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def fixable(self) -> bool:
        """Whether `--write-fixed` corrects the fault."""
        return bool(self.repairs)

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold."""
        values = asdict(replace(self, repairs=()))
        del values["repairs"], values["numbers"]
        return {**values, "places": [*values["places"]], "fixable": self.fixable, "numbers": self.numbers}


def printable(path: Path | str) -> str:
    """Return a path as text for any terminal and file, even if its bytes are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def first_places(places: Iterable[tuple[Path | str, str]]) -> tuple[Place, ...]:
    """Return the first places from (path, detail) pairs, as many as a finding lists."""
    return tuple(Place(printable(path), printable(detail)) for path, detail in islice(places, SHOWN))


def report(
    check: str,
    severity: Severity,
    split: Split | None,
    title: str,
    remedy: str,
    places: Iterable[tuple[Path | str, str]],
    repairs: Iterable[Repair] = (),
    *,
    total: int | None = None,
    numbers: dict[str, Any] | None = None,
) -> Iterator[Finding]:
    """Yield a finding about places, (path, detail) pairs, unless there are none; their number ends the title."""
    found = list(places)
    if found:
        count = f"{len(found)}" if total is None else f"{len(found)} of {total}"
        shown = first_places(found)
        title = f"{title}: {count}"
        yield Finding(check, severity, split, title, remedy, len(found), shown, tuple(repairs), numbers or {})


def listed(texts: Sequence[str], shown: int, more: int = 0) -> str:
    """Return the first texts and the number of further ones, of which `more` are not among the texts."""
    more += len(texts) - shown
    return ", ".join(texts[:shown]) + (f" and {more} more" if more > 0 else "")
