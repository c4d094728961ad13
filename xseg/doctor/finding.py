"""What the doctor tells: a finding, its places, and the repairs that need no judgement."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from xseg.types import Split

Severity: TypeAlias = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
RepairKind: TypeAlias = Literal["leave_out", "one_channel", "colors", "renumber", "shallow", "turn", "resize", "suffix"]
SHOWN = 5  # places that a finding lists


@dataclass(frozen=True, slots=True)
class Place:
    """One file or group of files that a finding is about.

    Args:
        path: the file; the split's name where it is no single file.
        detail: what is there, for example "value 37 in 768 pixels, the first at row 3, column 5".
    """

    path: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Repair:
    """One mechanical change to one file of a corrected copy.

    Args:
        path: the file as it is.
        kind: "leave_out" does not copy it; "one_channel" keeps the first of equal channels and drops transparency;
            "colors" turns the label map's colours into numbers; "renumber" replaces numbers; "shallow" writes 8 bits;
            "turn" applies an orientation; "resize" makes another size with nearest neighbours; "suffix" renames.
        table: what "renumber" replaces: pairs of an old and a new number.
        number: the EXIF orientation of "turn".
        size: height and width in pixels of "resize".
        suffix: the suffix of "suffix", with its dot.
    """

    path: Path
    kind: RepairKind
    table: tuple[tuple[int, int], ...] = ()
    number: int = 1
    size: tuple[int, int] = (0, 0)
    suffix: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing.

    Args:
        check: the name of the check, for example "unknown-values".
        severity: "error": training would stop or learn something wrong; "warning": probably not meant; "note": good
            to know.
        split: the split that it is about, or None for several.
        title: what is wrong, in one sentence with counts.
        remedy: what to do about it.
        count: number of places.
        places: the first of them.
        repairs: what `--write-fixed` does about it; empty where judgement is needed.
        numbers: figures for programs, plain values.
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
        """Whether `--write-fixed` puts it right."""
        return bool(self.repairs)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "check": self.check,
            "severity": self.severity,
            "split": self.split,
            "title": self.title,
            "remedy": self.remedy,
            "count": self.count,
            "places": [{"path": place.path, "detail": place.detail} for place in self.places],
            "fixable": self.fixable,
            "numbers": self.numbers,
        }


def printable(path: Path | str) -> str:
    """Return a path as text that any terminal and file takes, also if its bytes are no UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def first_places(places: Iterable[tuple[Path | str, str]]) -> tuple[Place, ...]:
    """Return the first places of (path, detail) pairs, as many as a finding lists."""
    found = []
    for path, detail in places:
        found.append(Place(printable(path), printable(detail)))
        if len(found) == SHOWN:
            break
    return tuple(found)


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings with errors first and notes last; otherwise in their order."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
