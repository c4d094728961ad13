"""Curves as SVG that uses the page's colours, for light and dark pages; one style of axes for all charts."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK = "#010203"  # placeholder for the page's text colour until the SVG is written
STYLES = ("-", "--", ":")  # for curves beyond the number of colours
BESIDE = 3  # curves with names inside the axes; those of more are below the chart
LINES = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#06b6d4")  # readable on white and on near-black


@dataclass(frozen=True)
class Series:
    """One curve: ascending steps, values, and the edges of a band around it; these are empty for no band."""

    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


def draw_curves(
    title: str,
    series: Sequence[Series],
    *,
    x: str,
    y: str = "",
    size: tuple[float, float] = (2.5, 3.9),
    logarithmic: bool = False,
) -> str:
    """Return a chart of curves as an SVG element.

    Args:
        title: text above the axes and for screen readers.
        series: curves to draw.
        x: label of the steps.
        y: label of the values.
        size: height and width in inches; the page scales it.
        logarithmic: whether to use a logarithmic scale, for values above 0.
    """
    # hashsalt: ids that are reproducible and differ from those of other charts on the page
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.family": "sans-serif"}):
        figure = Figure(figsize=size[::-1], layout="constrained")
        axes = figure.add_subplot()
        for number, curve in enumerate(series):
            color = LINES[number % len(LINES)]
            style = STYLES[number // len(LINES) % len(STYLES)]
            axes.plot(curve.steps, curve.values, style, color=color, linewidth=1.8, marker="o", markersize=3)
            if curve.low:
                axes.fill_between(curve.steps, curve.low, curve.high, color=color, alpha=0.16, linewidth=0)
        if logarithmic and all(min(curve.values) > 0 for curve in series):
            axes.set_yscale("log")
        style_axes(axes, title, x=x, y=y, ink=INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(series) > 1:
            # \u200b: matplotlib leaves out names that begin with "_"; \$: others would be formulas
            names = ["\u200b" + curve.name.replace("$", r"\$") for curve in series]
            place: dict[str, Any] = {} if len(series) <= BESIDE else {"loc": "outside lower left", "ncols": 2}
            owner = figure if place else axes
            owner.legend(axes.lines, names, frameon=False, labelcolor=INK, fontsize=9, **place)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None}, facecolor="none")
    return _for_page(stream.getvalue(), title)


def style_axes(
    axes: Axes, title: str, *, x: str, y: str = "", ink: str = "#1c2128", grid: Literal["both", "x"] = "both"
) -> None:
    """Apply the style of all charts."""
    axes.set_title(title, color=ink, fontsize=11, loc="left")
    axes.set_xlabel(x, color=ink, fontsize=9)
    axes.set_ylabel(y, color=ink, fontsize=9)
    axes.set_facecolor("none")
    axes.tick_params(colors=ink, labelsize=9, which="both")
    axes.grid(axis=grid, color=ink, alpha=0.14, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_edgecolor(ink)


def _for_page(svg: str, title: str) -> str:
    """Return the SVG element in the page's text colour and at the width of its column."""
    element = svg[svg.index("<svg") :].strip()
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    # ids of groups ("axes_1") repeat between charts and are not referenced
    element = re.sub(r'<g id="[^"]*"', "<g", element)
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', rf'\1 role="img" aria-label="{title}"', element, count=1)
    return element.replace(INK, "currentColor")
