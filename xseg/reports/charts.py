"""Charts in one style: curves as SVG in the page's colours, for light and dark pages; statistics of a data set."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xseg.types import SPLITS, Split

if TYPE_CHECKING:
    from xseg.doctor.statistics import SplitStatistics
    from xseg.labels.label_map import LabelMap

INK = "#010203"  # placeholder for the page's text colour until the SVG is written
STYLES = ("-", "--", ":")  # for curves beyond the number of colours
BESIDE = 3  # curves with names inside the axes; those of more are below the chart
LINES = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#06b6d4")  # readable on white and on near-black
_COLORS: dict[Split, str] = dict(zip(SPLITS, LINES, strict=False))
_MOST_CLASSES = 60  # the most frequent ones, as more names would overlap


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


def draw_classes(statistics: Mapping[Split, SplitStatistics], labels: LabelMap, path: Path) -> None:
    """Write a chart of the share of pixels and images of each class, with one bar per split.

    Raises:
        OSError: if the file cannot be written.
    """
    order = np.argsort([-sum(found.class_pixels[i] for found in statistics.values()) for i in range(len(labels))])
    shown = order[:_MOST_CLASSES]
    height = 1.6 + 0.16 * len(shown) * (1 + len(statistics))
    figure = Figure(figsize=(11, height), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(shown))
    width = 0.84 / max(1, len(statistics))
    for number, (split, found) in enumerate(statistics.items()):
        pixels, images = np.asarray(found.class_pixels, np.float64), np.asarray(found.class_images, np.float64)
        offset = places - 0.42 + width * (number + 0.5)
        style = {"color": _COLORS[split], "label": f"{split} ({found.images})"}
        left.barh(offset, 100 * (pixels / max(pixels.sum(), 1))[shown], width, **style)
        right.barh(offset, 100 * (images / max(found.images, 1))[shown], width, **style)
    left.set_yticks(places, [labels.names[index] for index in shown])
    left.invert_yaxis()
    left.set_xscale("symlog", linthresh=0.1)
    left.xaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
    style_axes(left, "Share of labelled pixels", x="% (logarithmic above 0.1)", grid="x")
    style_axes(right, "Images with the class", x="%", grid="x")
    figure.legend(*left.get_legend_handles_labels(), frameon=False, loc="outside upper right", ncols=len(statistics))
    figure.savefig(path)


def draw_sizes(statistics: Mapping[Split, SplitStatistics], path: Path) -> None:
    """Write a chart of the heights and widths of the images, with one dot per size.

    Raises:
        OSError: if the file cannot be written.
    """
    figure = Figure(figsize=(6, 4.6), layout="constrained", dpi=110)
    axes = figure.subplots()
    for split, found in statistics.items():
        heights, widths = ([size[axis] for size in found.sizes] for axis in (0, 1))
        area = [30 + 300 * count / max(found.images, 1) for count in found.sizes.values()]
        axes.scatter(widths, heights, area, color=_COLORS[split], alpha=0.5, label=f"{split}: {len(found.sizes)} sizes")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    style_axes(
        axes, "Image sizes; the area of a dot is the number of images", x="width in pixels", y="height in pixels"
    )
    axes.legend(frameon=False)
    figure.savefig(path)
