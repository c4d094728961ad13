"""`xseg data stats`: print or write statistics of a data set as tables, JSON and charts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser

from xseg.api.progress import show_progress
from xseg.cli import EXIT_OK
from xseg.cli.data.verbs import parse_data_arguments
from xseg.data.options import DataOptions

if TYPE_CHECKING:
    from xseg.doctor.statistics import SplitStatistics
    from xseg.labels.label_map import LabelMap
    from xseg.types import Split


def stats(arguments: Sequence[str]) -> int:
    """Count pixels and images per class and split, and measure sizes and channels.

    Raises:
        XsegError: if an option is wrong, or a file cannot be read.
    """
    values = parse_data_arguments(stats, arguments, _add_arguments)
    options: DataOptions = values["data"]

    from xseg.data.readers.registry import create_reader
    from xseg.doctor.statistics import existing_splits, split_statistics

    reader = create_reader(options)
    counts = existing_splits(reader)
    found: dict[Split, SplitStatistics] = {}
    for split in counts:
        found[split] = split_statistics(reader, split, workers=values["workers"], show=show_progress)
    text = json.dumps({split: entry.to_dict(reader.labels) for split, entry in found.items()}, indent=2)
    if values["json"]:
        print(text)
    else:
        _print_tables(found, reader.labels)
    if values["output_dir"]:
        _write(Path(values["output_dir"]), found, reader.labels, text)
        if not values["json"]:
            print(f"written: statistics.json, classes.png and sizes.png in {values['output_dir']}")
    return EXIT_OK


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the statistics as JSON")
    parser.add_argument("--output_dir", type=str, help="folder for statistics.json and charts of classes and sizes")


def _write(folder: Path, found: dict[Split, SplitStatistics], labels: LabelMap, text: str) -> None:
    from xseg.files.atomic import atomic_path, write_text
    from xseg.reports.charts import draw_classes, draw_sizes

    write_text(folder / "statistics.json", text + "\n")
    with atomic_path(folder / "classes.png") as path:
        draw_classes(found, labels, path)
    with atomic_path(folder / "sizes.png") as path:
        draw_sizes(found, path)


def _print_tables(found: dict[Split, SplitStatistics], labels: LabelMap) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("class", overflow="fold")
    for split in found:
        table.add_column(f"{split}: pixels", justify="right", no_wrap=True)
        table.add_column("%", justify="right", no_wrap=True)
        table.add_column("images", justify="right", no_wrap=True)
    for index, name in enumerate(labels.names):
        cells: list[str] = []
        for entry in found.values():
            pixels, total = entry.class_pixels[index], sum(entry.class_pixels)
            share = f"{100 * pixels / total:.2f}" if total else "-"
            cells += [f"{pixels}", share, f"{entry.class_images[index]}"]
        table.add_row(Text(name), *cells)  # Text: names in brackets are not markup
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(table)
    for split, entry in found.items():
        for line in _lines(split, entry):
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def _lines(split: Split, entry: SplitStatistics) -> list[str]:
    sizes = ", ".join(f"{height}x{width} ({count})" for (height, width), count in list(entry.sizes.items())[:4])
    more = f" and {len(entry.sizes) - 4} more sizes" if len(entry.sizes) > 4 else ""
    total = sum(entry.class_pixels) + entry.ignored
    ignored = f", {100 * entry.ignored / total:.2f} % of the pixels ignored" if total else ""
    unlabelled = f", {entry.unlabelled} without a mask" if entry.unlabelled else ""
    lines = [f"{split}: {entry.images} images{unlabelled}{ignored}; height x width {sizes}{more}"]
    channels = entry.channels
    if channels is not None:
        means, deviations = (", ".join(f"{v:.4f}" for v in values) for values in (channels.mean, channels.std))
        lows, highs = (", ".join(f"{v:g}" for v in values) for values in (channels.low, channels.high))
        lines.append(f"  channels: mean {means}; deviation {deviations} (of {channels.maximum:g})")
        lines.append(f"  stored values from {lows} to {highs}")
    return lines
