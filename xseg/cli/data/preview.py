"""`xseg data preview`: draw a data set before and after augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from jsonargparse import ArgumentParser

from xseg.cli import EXIT_OK
from xseg.cli.arguments import add_options, options_of
from xseg.cli.data.verbs import parse_data_arguments
from xseg.data.options import DataOptions
from xseg.errors import ConfigError
from xseg.predict.outputs.overlay import Overlay


def preview(arguments: Sequence[str]) -> int:
    """Draw contact sheets of images with their masks, before and after augmentation.

    Raises:
        XsegError: if an option is wrong, or a file cannot be read.
        OSError: if a file cannot be written.
    """
    values = parse_data_arguments(preview, arguments, _add_arguments)
    options: DataOptions = values["data"]
    style = options_of(Overlay, values)
    count, variants, folder = values["count"], values["variants"], Path(values["output_dir"])
    if count < 1 or variants < 0:
        raise ConfigError(f"count={count}, variants={variants}", expected="count of 1 or more, variants of 0 or more")

    from xseg.data.readers.registry import create_reader
    from xseg.doctor.statistics import existing_splits
    from xseg.images.overlay import blend
    from xseg.reports.preview import preview_sections, write_preview

    reader = create_reader(options)
    draw = partial(blend, alpha=style.alpha, outlines=style.outlines)
    labels = replace(reader.labels, background=values["background"])
    counts = existing_splits(reader)
    sections = preview_sections(reader, options, [*counts], labels=labels, draw=draw, count=count, variants=variants)
    summary = {
        "Layout": options.reader,
        **({"Folder": options.root} if options.root else {}),
        "Images": ", ".join(f"{split} {number}" for split, number in counts.items()),
        "Classes": str(len(reader.labels)),
    }
    title = Path(options.root).resolve().name if options.root else options.reader
    page = write_preview(folder, title, summary, labels, sections)
    print(f"page: {page}")
    print(f"contact sheets: {', '.join(sorted(path.name for path in folder.glob('sheet_*.png')))} in {folder}")
    return EXIT_OK


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--output_dir", type=str, default="runs/preview", help="folder for the page and the contact sheets"
    )
    parser.add_argument("--count", type=int, default=12, help="images per split, spread evenly over it")
    parser.add_argument(
        "--variants", type=int, default=4, help="number of augmented versions, for a third of the images"
    )
    background = 'class that is not tinted; by default the first one if it is named "background"; none for no class'
    parser.add_argument("--background", type=str, default="", help=background)
    add_options(parser, Overlay)
