"""The doctor's examination: list, look once at every file, judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from xseg.data.options import DataOptions
from xseg.data.pairs import FileReader
from xseg.data.sample import Reader
from xseg.doctor.correction import is_correctable
from xseg.doctor.finding import SEVERITIES, Finding, Severity
from xseg.doctor.listing import Listing, list_split
from xseg.doctor.look import Look, is_plain
from xseg.doctor.parallel import each
from xseg.doctor.summary import Facts, PairFacts, SplitFacts
from xseg.doctor.table import run_checks
from xseg.files.progress import NO_PROGRESS, ShowProgress
from xseg.types import SPLITS, Split


@dataclass(frozen=True)
class Examination:
    """What the doctor found.

    Args:
        facts: what was collected.
        findings: what is wrong or worth knowing, errors first.
    """

    facts: Facts
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """Return the number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "splits": {split: len(found.pairs) for split, found in self.facts.splits.items() if found.exists},
            "classes": list(self.facts.labels.names),
            "counts": {severity: self.count(severity) for severity in SEVERITIES},
            "findings": [finding.to_dict() for finding in self.findings],
        }


def list_splits(reader: Reader, splits: Sequence[Split] = SPLITS) -> dict[Split, Listing]:
    """Return the files of every split; a split that does not exist is empty."""
    return {split: list_split(reader, split) for split in splits}


def examine(
    reader: Reader,
    options: DataOptions,
    listings: dict[Split, Listing],
    *,
    workers: int = 0,
    show: ShowProgress = NO_PROGRESS,
) -> Examination:
    """Look at every file of a data set and judge what was found. Nothing is changed.

    Args:
        reader: the data set.
        options: the training's; of them `crop`.
        listings: from `list_splits`.
        workers: processes that decode; 0 decodes in this one.
        show: shows the progress, in pairs.

    Raises:
        DataError: if a process that decodes was killed.
    """
    tasks = [task for listing in listings.values() for task in listing.tasks]
    looked: list[PairFacts] = []
    with show("check", len(tasks), unit="pairs") as progress:
        for facts in each(Look(reader), tasks, workers=workers):
            looked.append(facts)
            progress.advance()
    splits: dict[Split, SplitFacts] = {}
    start = 0
    for split, listing in listings.items():
        end = start + len(listing.tasks)
        splits[split] = SplitFacts(tuple(looked[start:end]), listing.strays, listing.fault, listing.exists)
        start = end
    raw = isinstance(reader, FileReader)
    facts_of_all = Facts(reader.labels, reader.channels, options.crop, splits, is_plain(reader), raw)
    findings = run_checks(facts_of_all)
    if not is_correctable(reader):
        findings = [replace(finding, repairs=()) for finding in findings]
    return Examination(facts_of_all, tuple(findings))
