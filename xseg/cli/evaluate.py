"""`xseg evaluate`: evaluate a model on a labelled split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xseg.api.evaluation import default_directory, evaluate, print_scores, run_configuration
from xseg.cli import EXIT_OK
from xseg.cli.arguments import MODELS, add_options, new_parser, options_of, parse_with_data
from xseg.inference.options import InferenceOptions
from xseg.types import SPLITS


def main(arguments: Sequence[str]) -> int:
    """Evaluate a run or a bundle on a labelled split, and write a report.

    Raises:
        XsegError: if an option, the model or the data set is wrong.
    """
    values = _parse(arguments)
    directory = Path(values["output_dir"] or default_directory(values["model"], values["split"]))
    evaluation = evaluate(
        values["model"],
        data=values["data"],
        split=values["split"],
        output_dir=directory,
        metrics=values["metrics"],
        overwrite=values["overwrite"],
        **asdict(options_of(InferenceOptions, values)),
    )
    print_scores(evaluation)
    speed = len(evaluation.images) / evaluation.seconds if evaluation.seconds else 0.0
    print(f"{len(evaluation.images)} images in {evaluation.seconds:.1f} s ({speed:.1f} images/s)")
    print(f"report: {directory / 'report.html'}")
    return EXIT_OK


def _parse(arguments: Sequence[str]) -> dict[str, Any]:
    parser = new_parser("evaluate", main)
    parser.add_argument("model", type=str, help=MODELS)
    parser.add_argument("--split", choices=SPLITS, default="val", help="split of the data set")
    folder = "folder for the results; in the run or runs/evaluate/NAME by default"
    parser.add_argument("--output_dir", type=str, help=folder)
    parser.add_argument("--config", type=str, help="a YAML file whose `data:` replaces all of the run's data options")
    own = "your own metrics in addition to xseg's, such as metrics.py:MyMetric"
    parser.add_argument("--metrics", type=str, nargs="+", default=[], help=own)
    parser.add_argument("--overwrite", action="store_true", help="replace the scores of another evaluation")
    add_options(parser, InferenceOptions)
    return parse_with_data(
        parser, arguments, lambda given: filter(None, [given.config or run_configuration(given.model)])
    )
