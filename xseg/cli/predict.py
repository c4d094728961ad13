"""`xseg predict`: masks for images, folders and globs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from xseg.cli import EXIT_OK, EXIT_SOME_FAILED
from xseg.cli.arguments import add_options, new_parser, parse_arguments
from xseg.cli.progress import show_progress
from xseg.errors import ConfigError
from xseg.inference.options import InferenceOptions
from xseg.inference.sources import Source, expand_sources

if TYPE_CHECKING:
    from xseg.inference.predictor import Predictor
    from xseg.inference.writers import PredictionWriter, Row

WRITE_THREADS = 4


@dataclass(frozen=True)
class OutputOptions:
    """What is written.

    Args:
        output_dir: folder to write to: masks/NAME.png, an indexed PNG per image, and predictions.csv, a row per input.
        overlay: write overlays/NAME.jpg too: the classes drawn over the image, with a legend.
        probabilities: write probabilities/NAME.npz too: float16 of shape (classes, height, width).
    """

    output_dir: str = "predictions"
    overlay: bool = False
    probabilities: bool = False


def main(arguments: Sequence[str]) -> int:
    """Predict masks for images, folders, globs and lists.

    Args:
        arguments: what follows `xseg predict`.

    Returns:
        0, or 1 if some inputs failed and the rest is done.

    Raises:
        XsegError: if an option, the model or a source is wrong; nothing has been written then.
    """
    parser = new_parser("predict", "Predict masks for images, folders, globs and lists.")
    parser.add_argument("model", type=str, help="a run directory, a bundle directory or a Hugging Face Hub id")
    parser.add_argument("source", type=str, nargs="+", help="images, folders, globs in quotes, or @list.txt")
    add_options(parser, OutputOptions)
    add_options(parser, InferenceOptions)
    values = vars(parse_arguments(parser, arguments))
    output = OutputOptions(**{field.name: values[field.name] for field in fields(OutputOptions)})
    options = InferenceOptions(**{field.name: values[field.name] for field in fields(InferenceOptions)})
    directory = Path(output.output_dir)
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"output_dir={output.output_dir} is a file", expected="a folder, or a name that is free")
    sources = expand_sources(values["source"], exclude=directory)

    from xseg.inference.predictor import load  # imports torch, and everything above is checked without it
    from xseg.inference.writers import PredictionWriter

    predictor = load(values["model"], **asdict(options))
    start = time.perf_counter()
    rows = _predict(predictor, sources, PredictionWriter(directory, output.overlay, output.probabilities))
    _tell(rows, output, time.perf_counter() - start)
    return EXIT_SOME_FAILED if any(row.status == "failed" for row in rows) else EXIT_OK


def _predict(predictor: Predictor, sources: Sequence[Source], writer: PredictionWriter) -> list[Row]:
    """Predict and write everything; the table is written even if the work is interrupted."""
    from xseg.inference.ahead import ahead
    from xseg.inference.writers import write_table

    rows: list[Row] = []
    results = predictor.stream([source.path for source in sources], probabilities=writer.probabilities)
    pairs = zip(sources, results, strict=True)
    try:
        with show_progress("predict", len(sources)) as progress:
            for row in ahead(lambda pair: writer.write(*pair), pairs, threads=WRITE_THREADS, prompt=True):
                rows.append(row)
                progress.advance()
                if row.error:
                    progress.note(f"xseg predict: failed: {row.error}")
    finally:
        write_table(rows, writer.directory / "predictions.csv")
    return rows


def _tell(rows: Sequence[Row], output: OutputOptions, seconds: float) -> None:
    """Print what was written where and how fast."""
    directory = Path(output.output_dir)
    done = sum(row.status == "ok" for row in rows)
    kinds = ["masks"] if done else []
    if done:
        kinds += [
            kind for kind, wanted in (("overlays", output.overlay), ("probabilities", output.probabilities)) if wanted
        ]
    places = ", ".join(
        [f"{kind} in {directory / kind}" for kind in kinds] + [f"table in {directory / 'predictions.csv'}"]
    )
    speed = f"{done / seconds:.1f} images/s" if seconds else ""
    failed = f", {len(rows) - done} failed" if done < len(rows) else ""
    print(f"predicted {done} of {len(rows)} images in {seconds:.1f} s ({speed}){failed}: {places}")
    sys.stdout.flush()
