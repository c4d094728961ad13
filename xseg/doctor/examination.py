"""Examination of a data set: list its files, decode each once, and run the checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader
from xseg.data.sample import Reader
from xseg.doctor.correction import Correction, paired_root
from xseg.doctor.finding import SEVERITIES, Finding, Severity
from xseg.doctor.listing import Listing, list_split
from xseg.doctor.look import PairSummarizer, has_numeric_masks
from xseg.doctor.parallel import parallel_map
from xseg.doctor.summary import DataSummary, PairSummary, SplitSummary
from xseg.doctor.table import run_checks
from xseg.files.html import html_table
from xseg.files.progress import NO_PROGRESS, ShowProgress
from xseg.types import SPLITS, Split


@dataclass(frozen=True)
class Examination:
    """Summary of a data set, its findings, errors first, and the corrected copy, if one was written."""

    summary: DataSummary
    findings: tuple[Finding, ...]
    correction: Correction | None = None

    def count(self, severity: Severity) -> int:
        """Return the number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold."""
        return {
            "splits": {split: len(found.pairs) for split, found in self.summary.splits.items() if found.exists},
            "classes": list(self.summary.labels.names),
            "counts": {severity: self.count(severity) for severity in SEVERITIES},
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def _repr_html_(self) -> str:
        """Return the findings as a table."""
        rows = [
            (each.severity, each.split, each.title, ", ".join(place.path for place in each.places), each.remedy)
            for each in self.findings
        ]
        counts = ", ".join(f"{severity}s: {self.count(severity)}" for severity in SEVERITIES)
        return html_table(counts if rows else "no faults found", ("", "split", "finding", "places", "to do"), rows)


def list_splits(reader: Reader, splits: Sequence[Split] = SPLITS) -> dict[Split, Listing]:
    """Return the files of every split; a missing split is empty."""
    return {split: list_split(reader, split) for split in splits}


def examine(
    reader: Reader,
    options: DataOptions,
    listings: dict[Split, Listing],
    *,
    workers: int = 0,
    show: ShowProgress = NO_PROGRESS,
) -> Examination:
    """Decode every file of a data set and run all checks, without changing anything.

    The listings are the result of `list_splits`; the options give the training's `crop`. Files are decoded by `workers`
    processes, or by the main process for 0; the progress is in pairs.

    Raises:
        DataError: if a worker process was killed.
    """
    tasks = [task for listing in listings.values() for task in listing.tasks]
    looked: list[PairSummary] = []
    with show("check", len(tasks), unit="pairs") as progress:
        for pair in parallel_map(PairSummarizer(reader), tasks, workers=workers):
            looked.append(pair)
            progress.advance()
    pairs = iter(looked)
    splits = {
        split: SplitSummary(tuple(islice(pairs, len(listing.tasks))), listing.strays, listing.fault, listing.exists)
        for split, listing in listings.items()
    }
    raw = isinstance(reader, FileReader)
    summary = DataSummary(reader.labels, reader.channels, options.crop, splits, has_numeric_masks(reader), raw)
    findings = run_checks(summary)
    if paired_root(reader) is None:
        findings = [replace(finding, repairs=()) for finding in findings]
    return Examination(summary, tuple(findings))
