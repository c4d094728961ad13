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
        row = NetworkResult(
            network.variant.name,
            network.parameters,
            network.multiply_adds,
            round(network.width, 4),
            len(curves),
            round(fmean(finals), 4),
            round(min(finals), 4),
            round(max(finals), 4),
            round(fmean(fmean(curve.accuracy) for curve in curves), 4),
            round(fmean(curve.seconds for curve in curves), 1),
        )
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
    said += [f"{other.variant} ended at {other.final:.3f}: {_apart(first, other)}." for other in others]
    said.append(f"Averaged over the whole training, {fastest.variant} was highest ({fastest.mean:.3f}).")
    return " ".join(said)


def _apart(first: NetworkResult, other: NetworkResult) -> str:
    if first.final_low > other.final_high:
        return "lower (the ranges of the seeds do not overlap)"
    return "no clear difference (the ranges of the seeds overlap)"


def write_results(trained: Trained, folder: Path) -> None:
    """Write table.csv, results.json, figure.svg and report.html, each completely or not at all."""
    table = rows(trained)
    write_table(folder / TABLE_FILE, [asdict(row) for row in table])
    values = {
        "study": trained.study.name,
        "settings": asdict(trained.settings),
        "root": trained.root,
        "table": [asdict(row) for row in table],
        "verdict": verdict(table),
        "curves": [asdict(curve) for curves in trained.curves for curve in curves],
    }
    write_text(folder / JSON_FILE, json.dumps(values, indent=2) + "\n")
    figure = draw_curves(
        trained.study.title,
        [
            series(network.variant.name, curves)
            for network, curves in zip(trained.networks, trained.curves, strict=True)
        ],
        x="gradient steps",
        y="validation accuracy",
        size=(4.0, 6.4),
    )
    write_text(
        folder / FIGURE_FILE, figure.replace("currentColor", "#1c2128")
    )  # outside a page there is no text colour
    write_text(folder / PAGE_FILE, _page(trained, table, figure))


def _page(trained: Trained, table: Sequence[NetworkResult], figure: str) -> str:
    data = trained.root or "generated images of ten shapes in clutter"
    values = {
        "title": trained.study.title,
        "study": trained.study,
        "settings": {"data": data, **asdict(trained.settings)},
        "rows": table,
        "figure": Markup(figure),  # noqa: S704 - drawn here
        "verdict": verdict(table),
    }
    return render_page("study.html", values)
