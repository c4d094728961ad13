"""`xseg predict`: predict masks for images, folders, globs, lists, videos, cameras and GeoTIFFs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xseg.api.progress import show_progress
from xseg.cli import EXIT_OK, EXIT_SOME_FAILED
from xseg.cli.arguments import MODELS, add_options, new_parser, options_of, parse_arguments
from xseg.errors import ConfigError
from xseg.inference.options import InferenceOptions
from xseg.predict.options import EngineOptions, FolderOptions
from xseg.predict.outputs.registry import OUTPUTS, create_outputs, name_of, option_names, optional_outputs

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from xseg.inference.predictor import Predictor
    from xseg.predict.outputs.output import Output
    from xseg.predict.table import PredictionRow

# The command line defaults to speed; Python and evaluation default to exact results.
QUICK = {"precision": "auto", "backend": "auto"}


def main(arguments: Sequence[str]) -> int:
    """Predict masks for images, folders, globs, lists, videos and GeoTIFFs.

    Returns:
        0, or 1 if some inputs failed and the others are done.

    Raises:
        XsegError: if an option, the model or a source is wrong; nothing is written then.
    """
    parser = new_parser("predict", main)
    parser.add_argument("model", type=str, help=MODELS)
    parser.add_argument(
        "source",
        type=str,
        nargs="+",
        help="images, folders, globs in quotes, @list.txt, videos, GeoTIFFs, the number of a camera, or URLs that "
        "fsspec supports (s3://bucket/photos)",
    )
    add_options(parser, FolderOptions)
    _add_outputs(parser)
    add_options(parser, InferenceOptions, EngineOptions)
    parser.set_defaults(QUICK)
    values = vars(parse_arguments(parser, arguments))
    folder, options = options_of(FolderOptions, values), options_of(InferenceOptions, values)
    outputs = create_outputs(values, values["output"])
    machines = options_of(EngineOptions, values)
    directory = Path(folder.output_dir)
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"output_dir={folder.output_dir} is a file", expected="a folder, or a new name")

    from xseg.predict.sources import expand_sources  # after --help, because it imports OpenCV

    sources = expand_sources(values["source"], exclude=folder.output_dir)

    from xseg.bundles.locate import locate_bundle, members_of  # imports torch, which all checks above do not need
    from xseg.exporting.exported import is_export
    from xseg.inference.loading import load
    from xseg.predict.job import Job
    from xseg.predict.manifest import bundle_digest, describe_run

    bundles = [Path(member) if is_export(member) else locate_bundle(member) for member in members_of(values["model"])]
    predictor = load(bundles, **asdict(options))
    runtime = _report_runtime(predictor, len(bundles))
    description = describe_run(",".join(map(bundle_digest, bundles)), options, outputs, **runtime)
    engine = None
    if machines.engine == "ray":
        from xseg.predict.ray import ray_engine

        engine = ray_engine(values["model"], replace(options, **runtime), machines.address)
    start = time.perf_counter()
    rows = Job(predictor, sources, folder, description, show_progress, outputs).run(engine)
    _print_summary(rows, folder, outputs, time.perf_counter() - start)
    return EXIT_SOME_FAILED if any(row.status == "failed" for row in rows) else EXIT_OK


def _report_runtime(predictor: Predictor, models: int) -> dict[str, Any]:
    """Print and return the actual values of "auto" options."""
    backend = predictor.backend
    device = str(predictor.device)
    several = f"{models} models, " if models > 1 else ""
    print(f"xseg predict: {several}{backend.name} in {backend.precision} on {device}", file=sys.stderr, flush=True)
    return {"device": device, "backend": backend.name, "precision": backend.precision}


def _add_outputs(parser: ArgumentParser) -> None:
    """Add one option per output, the outputs' own options, and one for the user's own outputs."""
    for name, kind in OUTPUTS.items():
        if name in optional_outputs():
            parser.add_argument(f"--{name}", action="store_true", help=kind.description)
        if option_names(kind):
            add_options(parser, kind)
    parser.add_argument(
        "--output",
        type=str,
        action="append",
        default=[],
        metavar="CLASS_PATH",
        help="your own output, as path/to/file.py:Name or package.module.Name, a subclass of "
        "xseg.predict.outputs.output.Output; may be given several times",
    )


def _print_summary(
    rows: Sequence[PredictionRow], options: FolderOptions, outputs: Sequence[Output], seconds: float
) -> None:
    from xseg.predict.staging import OutputFolder

    folder = OutputFolder.named(options.output_dir)
    done = sum(row.status == "ok" for row in rows)
    folders = dict.fromkeys(["masks", *(output.folder for output in outputs if output.folder)] if done else [])
    places = [f"{name} in {folder.at(folder.directory / name)}" for name in folders]
    places.append(f"table in {folder.at(folder.directory / 'predictions.csv')}")
    for output in outputs:
        if output.summary:
            places.append(f"{output.title or name_of(output)} in {folder.at(folder.directory / output.summary)}")
    speed = f"{done / seconds:.1f} images/s" if seconds else ""
    failed = f", {len(rows) - done} failed" if done < len(rows) else ""
    print(f"predicted {done} of {len(rows)} images in {seconds:.1f} s ({speed}){failed}: {', '.join(places)}")
    sys.stdout.flush()
