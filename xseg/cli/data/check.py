"""`xseg data check`: print the findings of the doctor as text or JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from xseg.api.data import check_data
from xseg.cli import EXIT_OK, EXIT_SOME_FAILED
from xseg.cli.data.verbs import parse_data_arguments

if TYPE_CHECKING:
    from xseg.doctor.examination import Examination
    from xseg.doctor.finding import Finding, Severity

_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}


def check(arguments: Sequence[str]) -> int:
    """Check every file of a data set, and print faults, places and remedies.

    Returns:
        0 without errors; 1 with errors, also if a corrected copy was written.

    Raises:
        XsegError: if an option is wrong, or the data set does not exist.
    """
    values = parse_data_arguments(check, arguments, _add_arguments)
    start = time.perf_counter()
    examination = check_data(values["data"], workers=values["workers"], write_fixed=values["write_fixed"])
    seconds = time.perf_counter() - start
    if values["json"]:
        found = {**examination.to_dict(), "seconds": round(seconds, 3)}
        if examination.correction is not None:
            found["corrected"] = {**asdict(examination.correction), "root": str(examination.correction.root)}
        print(json.dumps(found, indent=2))
    else:
        _print_findings(examination, seconds)
    return EXIT_SOME_FAILED if examination.count("error") else EXIT_OK


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument(
        "--write_fixed",
        "--write-fixed",
        type=str,
        metavar="DIR",
        help="write a copy of the data set to DIR with all faults corrected that need no judgement",
    )


def _print_findings(examination: Examination, seconds: float) -> None:
    from rich.console import Console

    correction = examination.correction
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for finding in examination.findings:
        _print_finding(finding, correction is None, console)
    splits = [(split, found) for split, found in examination.summary.splits.items() if found.exists]
    pairs = sum(len(found.pairs) for _, found in splits)
    sizes = ", ".join(f"{split} {len(found.pairs)}" for split, found in splits)
    numbers = [(examination.count(severity), severity) for severity in _STYLES]
    counts = ", ".join(f"{number} {severity}{'s' * (number != 1)}" for number, severity in numbers)
    console.print(f"{sizes}; {len(examination.summary.labels)} classes; {pairs} pairs in {seconds:.1f} s")
    console.print(counts if examination.findings else "no faults found", style="bold")
    if correction is not None:
        console.print(
            f"corrected copy: {correction.root} ({correction.copied} files unchanged, {correction.changed} changed, "
            f"{correction.left_out} left out; see corrections.json)"
        )
        console.print(f"use it with: --data.root {correction.root}")


def _print_finding(finding: Finding, offer: bool, console: Any) -> None:
    from rich.text import Text

    where = f" ({finding.split})" if finding.split else ""
    console.print(Text.assemble((finding.severity, _STYLES[finding.severity]), f" {finding.check}{where}"))
    console.print(f"  {finding.title}")
    for place in finding.places:
        console.print(f"    {place.path}" + (f": {place.detail}" if place.detail else ""), style="dim")
    if finding.count > len(finding.places) > 0:
        console.print(f"    and {finding.count - len(finding.places)} more", style="dim")
    for name, value in finding.numbers.get("weights", {}).items():
        console.print(f"    weight of {name}: {value}", style="dim")
    again = "; --write-fixed DIR writes a corrected copy" if finding.fixable and offer else ""
    console.print(f"  to do: {finding.remedy}{again}\n")
