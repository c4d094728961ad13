"""A training's curves as SVG that takes its colours from the page, so that it reads on light and dark."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xseg.reports.history import Curve, History

INK = "#010203"  # stands for the page's text colour until the SVG is written
LINES = ("#3b82f6", "#f59e0b")  # both read on white and on near-black
SIZE = (3.9, 2.5)  # inches; the page scales it


@dataclass(frozen=True)
class Chart:
    """What one chart shows.

    Args:
        title: above the chart.
        columns: names in the training's table, each with its name in the legend.
        logarithmic: whether values go by powers of ten.
    """

    title: str
    columns: tuple[tuple[str, str], ...]
    logarithmic: bool = False


CHARTS = (
    Chart("Loss", (("train/loss", "training"), ("val/loss", "validation"))),
    Chart("Validation mIoU", (("val/miou", "mIoU"),)),
    Chart("Learning rate", (("lr", "learning rate"),), logarithmic=True),
)


def draw_charts(history: History) -> list[str]:
    """Return an SVG element per chart whose columns were measured."""
    drawn = []
    for chart in CHARTS:
        curves = [(history.curves[name], text) for name, text in chart.columns if name in history.curves]
        if curves:
            drawn.append(_draw(chart, curves, history.unit))
    return drawn


def _draw(chart: Chart, curves: list[tuple[Curve, str]], unit: str) -> str:
    # hashsalt: the ids inside are the same every time, and differ from those of the page's other charts
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": chart.title, "font.family": "sans-serif"}):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot()
        for color, (curve, text) in zip(LINES, curves, strict=False):
            axes.plot(curve.steps, curve.values, color=color, label=text, linewidth=1.8, marker="o", markersize=3)
        _style(axes, chart, unit, positive=all(min(curve.values) > 0 for curve, _ in curves))
        if len(curves) > 1:
            axes.legend(frameon=False, labelcolor=INK, fontsize=9)
        text_stream = io.StringIO()
        figure.savefig(text_stream, format="svg", metadata={"Date": None}, facecolor="none")
    return _for_page(text_stream.getvalue(), chart.title)


def _style(axes: Axes, chart: Chart, unit: str, *, positive: bool) -> None:
    if chart.logarithmic and positive:
        axes.set_yscale("log")
    axes.set_title(chart.title, color=INK, fontsize=11, loc="left")
    axes.set_xlabel(unit, color=INK, fontsize=9)
    axes.set_facecolor("none")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(colors=INK, labelsize=9, which="both")
    axes.grid(color=INK, alpha=0.14, linewidth=0.8)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_edgecolor(INK)


def _for_page(svg: str, title: str) -> str:
    """Return the SVG element alone, in the page's text colour and at the width of its column."""
    element = svg[svg.index("<svg") :].strip()
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    # the ids of groups ("axes_1") repeat between charts, and nothing refers to them
    element = re.sub(r'<g id="[^"]*"', "<g", element)
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', rf'\1 role="img" aria-label="{title}"', element, count=1)
    return element.replace(INK, "currentColor")
