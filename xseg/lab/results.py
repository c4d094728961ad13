"""Results of a study as a table, a figure and a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from markupsafe import Markup

from xseg.files.atomic import write_table, write_text
from xseg.lab.study import Trained
from xseg.lab.training import Curve
from xseg.reports.charts import Series, draw_curves
from xseg.reports.pages import render_page

TABLE_FILE, JSON_FILE, FIGURE_FILE, PAGE_FILE = "table.csv", "results.json", "figure.svg", "report.html"


@dataclass(frozen=True)
class NetworkResult:
    """Results of one network over its seeds; accuracies are shares of the validation images.

    `mean` is the accuracy averaged over training, too: higher for faster convergence. `seconds` are of one training.
    """

    variant: str
    parameters: int
    multiply_adds: int
    width: float
    seeds: int
    final: float
    final_low: float
    final_high: float
    mean: float
    seconds: float


def rows(trained: Trained) -> list[NetworkResult]:
    """Return the rows of the table in the order of the study."""
    table = []
    for network, curves in zip(trained.networks, trained.curves, strict=True):
        finals = [curve.accuracy[-1] for curve in curves]
        means = fmean(finals), min(finals), max(finals), fmean(fmean(curve.accuracy) for curve in curves)
        width, final, low, high, mean = (round(value, 4) for value in (network.width, *means))
        seconds = round(fmean(curve.seconds for curve in curves), 1)
        costs = network.parameters, network.multiply_adds
        row = NetworkResult(network.variant.name, *costs, width, len(curves), final, low, high, mean, seconds)
        table.append(row)
    return table


def series(variant: str, curves: Sequence[Curve]) -> Series:
    """Return the mean curve of the seeds, with their range as a band."""
    accuracies = list(zip(*(curve.accuracy for curve in curves), strict=True))
    return Series(
        variant,
        tuple(float(step) for step in curves[0].steps),
        tuple(fmean(values) for values in accuracies),
        tuple(min(values) for values in accuracies),
        tuple(max(values) for values in accuracies),
    )


def verdict(table: Sequence[NetworkResult]) -> str:
    """Return a sentence about the best network, and whether the ranges of the seeds overlap with others."""
    first, *others = sorted(table, key=lambda row: -row.final)
    if not others:
        return f"{first.variant} ended at {first.final:.3f}."
    fastest = max(table, key=lambda row: row.mean)
    said = [f"{first.variant} ended highest, at {first.final:.3f}."]
    for other in others:
        difference = "no clear difference (the ranges of the seeds overlap)"
        if first.final_low > other.final_high:
            difference = "lower (the ranges of the seeds do not overlap)"
        said.append(f"{other.variant} ended at {other.final:.3f}: {difference}.")
    said.append(f"Averaged over the whole training, {fastest.variant} was highest ({fastest.mean:.3f}).")
    return " ".join(said)


def write_results(trained: Trained, folder: Path) -> None:
    """Write table.csv, results.json, figure.svg and report.html, each completely or not at all."""
    table, study, settings = rows(trained), trained.study, asdict(trained.settings)
    plain = [asdict(row) for row in table]
    write_table(folder / TABLE_FILE, plain)
    values = {
        "study": study.name,
        "settings": settings,
        "root": trained.root,
        "table": plain,
        "verdict": verdict(table),
        "curves": [asdict(curve) for curves in trained.curves for curve in curves],
    }
    write_text(folder / JSON_FILE, json.dumps(values, indent=2) + "\n")
    pairs = zip(trained.networks, trained.curves, strict=True)
    lines = [series(network.variant.name, curves) for network, curves in pairs]
    figure = draw_curves(study.title, lines, x="gradient steps", y="validation accuracy", size=(4.0, 6.4))
    # outside a page there is no text colour
    write_text(folder / FIGURE_FILE, figure.replace("currentColor", "#1c2128"))
    page = {
        "title": study.title,
        "study": study,
        "settings": {"data": trained.root or "generated images of ten shapes in clutter", **settings},
        "rows": table,
        "figure": Markup(figure),  # noqa: S704 - drawn here
        "verdict": verdict(table),
    }
    write_text(folder / PAGE_FILE, render_page("study.html", page))
