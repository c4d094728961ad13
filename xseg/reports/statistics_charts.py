"""Charts of the statistics of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from xseg.doctor.statistics import SplitStatistics
from xseg.labels.label_map import LabelMap
from xseg.reports.charts import LINES, style_axes
from xseg.types import SPLITS, Split

_COLORS: dict[Split, str] = dict(zip(SPLITS, LINES, strict=False))
_MOST_CLASSES = 60  # the most frequent ones, as more names would overlap


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
