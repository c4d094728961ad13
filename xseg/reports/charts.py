"""Curves as SVG that takes its colours from the page, so that it reads on light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK = "#010203"  # stands for the page's text colour until the SVG is written
LINES = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#06b6d4")  # read on white and on near-black


@dataclass(frozen=True)
class Series:
    """One curve.

    Args:
        name: in the legend.
        steps: ascending.
        values: one per step.
        low: lower edge of the band around it, one per step; empty for no band.
        high: upper edge.
    """

    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


def draw_curves(
    title: str, series: Sequence[Series], *, x: str, y: str = "", size: tuple[float, float] = (5.4, 3.4)
) -> str:
    """Return an SVG element.

    Args:
        title: above the axes, and what a screen reader says.
        series: the curves.
        x: what the steps are.
        y: what the values are.
        size: width and height in inches; the page scales it.
    """
    # hashsalt: the ids inside are the same every time, and differ from those of the page's other figures
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.family": "sans-serif"}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        for number, curve in enumerate(series):
            color = LINES[number % len(LINES)]
            axes.plot(curve.steps, curve.values, color=color, label=curve.name, linewidth=1.8, marker="o", markersize=3)
            if curve.low:
                axes.fill_between(curve.steps, curve.low, curve.high, color=color, alpha=0.16, linewidth=0)
        axes.set_title(title, color=INK, fontsize=11, loc="left")
        axes.set_xlabel(x, color=INK, fontsize=9)
        axes.set_ylabel(y, color=INK, fontsize=9)
        axes.set_facecolor("none")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(colors=INK, labelsize=9, which="both")
        axes.grid(color=INK, alpha=0.14, linewidth=0.8)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_edgecolor(INK)
        if len(series) > 1:
            axes.legend(frameon=False, labelcolor=INK, fontsize=9)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None}, facecolor="none")
    return _for_page(stream.getvalue(), title)


def _for_page(svg: str, title: str) -> str:
    """Return the SVG element alone, in the page's text colour and at the width of its column."""
    element = svg[svg.index("<svg") :].strip()
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    # the ids of groups ("axes_1") repeat between figures, and nothing refers to them
    element = re.sub(r'<g id="[^"]*"', "<g", element)
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', rf'\1 role="img" aria-label="{title}"', element, count=1)
    return element.replace(INK, "currentColor")
