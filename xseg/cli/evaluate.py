"""`xseg evaluate`: evaluate a model on a labelled split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xseg.api.parsing import read_data_options
from xseg.api.progress import show_progress
from xseg.cli import EXIT_OK
from xseg.cli.arguments import add_options, new_parser, options_of, parse_arguments
from xseg.data.options import DataOptions
from xseg.evaluation.settings import METRICS_FILE, EvaluationSettings
from xseg.inference.options import InferenceOptions
from xseg.types import SPLITS, PathArgument, Split

if TYPE_CHECKING:
    from xseg.data.sample import Reader
    from xseg.evaluation.evaluate import Evaluation
    from xseg.inference.predictor import Predictor
    from xseg.metrics.registry import MetricSource


def main(arguments: Sequence[str]) -> int:
    """Evaluate a run or a bundle on a labelled split, and write a report.

    Raises:
        XsegError: if an option, the model or the data set is wrong.
    """
    values = _parse(arguments)
    options = options_of(InferenceOptions, values)
    data: DataOptions = values["data"]
    split: Split = values["split"]
    source: str = values["model"]
    directory = Path(values["output_dir"] or default_directory(source, split))

    metrics = tuple(values["metrics"])
    settings = EvaluationSettings(source, split, data, options, metrics)
    if not values["overwrite"]:
        settings.require_same(directory)

    from xseg.bundles.locate import locate_bundle, locate_run, members_of
    from xseg.data.readers.registry import create_reader
    from xseg.exporting.exported import is_export
    from xseg.inference.loading import load
    from xseg.reports.model_summary import summarize_model

    for member in members_of(source):
        if not is_export(member):
            locate_bundle(member)  # otherwise a mistyped run would give an error about its data options
    reader = create_reader(data)
    reader.records(split)  # a missing folder is reported before the model is loaded
    predictor = load(source, **asdict(options))
    summary = {"Model": source, **summarize_model(predictor), "Data": " ".join(filter(None, (data.reader, data.root)))}
    history = (locate_run(source) or Path(source)) / "metrics.csv"
    evaluation = evaluate_and_report(
        predictor,
        reader,
        split,
        directory,
        title=Path(source).resolve().name,
        summary=summary,
        history=history if history.is_file() else None,
        settings=settings,
        metrics=metrics,
    )
    print_scores(evaluation)
    speed = len(evaluation.images) / evaluation.seconds if evaluation.seconds else 0.0
    print(f"{len(evaluation.images)} images in {evaluation.seconds:.1f} s ({speed:.1f} images/s)")
    print(f"report: {directory / 'report.html'}")
    return EXIT_OK


def default_directory(source: PathArgument, split: Split) -> Path:
    """Return the default folder for scores: inside a run or a cross-validation, else below runs/evaluate."""
    from xseg.bundles.locate import FOLDS_FILE, locate_run, members_of

    run = Path(source) if Path(source, FOLDS_FILE).is_file() else locate_run(source)
    name = "+".join(Path(member).name for member in members_of(source))
    return run / "evaluation" / split if run else Path("runs", "evaluate", name, split)


def evaluate_and_report(
    predictor: Predictor,
    reader: Reader,
    split: Split,
    directory: PathArgument,
    *,
    title: str,
    summary: Mapping[str, str],
    history: PathArgument | None = None,
    settings: EvaluationSettings | None = None,
    metrics: Sequence[MetricSource] = (),
) -> Evaluation:
    """Evaluate a model with a progress bar, and write metrics.json, per_image.csv and report.html.

    `history` is the metrics.csv of a training, for curves in the report; `summary` is for its head.

    Raises:
        XsegError: as in `xseg.evaluation.evaluate.evaluate`, or if the history cannot be read.
        OSError: if a file cannot be written.
    """
    from xseg.evaluation.evaluate import evaluate
    from xseg.evaluation.writers import write_metrics, write_per_image
    from xseg.reports.evaluation import write_report

    evaluation = evaluate(predictor, reader, split, metrics=metrics, show=show_progress)
    directory = Path(directory)
    write_metrics(evaluation, directory / METRICS_FILE, settings)
    write_per_image(evaluation, directory / "per_image.csv")
    write_report(evaluation, directory / "report.html", title=title, summary=summary, history=history)
    return evaluation


def print_scores(evaluation: Evaluation) -> None:
    """Print the scores as a table on standard output."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    scores, metrics = evaluation.scores, evaluation.metrics
    shown = [metric for metric in metrics if metric.has_classes() and metric.shown]
    style: dict[str, Any] = {"box": SIMPLE, "padding": (0, 1, 0, 0), "pad_edge": False}
    table = Table(show_footer=True, **style)
    table.add_column("class", footer="overall", overflow="fold")
    for metric in shown:
        key = metric.overall_key()
        footer = "" if key is None else _cell(scores.overall[key])
        heading = Text(metric.heading().replace(" ", "\n"))  # words below each other, for 80 columns
        table.add_column(heading, footer=footer, justify="right", no_wrap=True)
    table.add_column("pixels", footer=str(sum(scores.pixels)), justify="right", no_wrap=True)
    columns = [scores.per_class[metric.name] for metric in shown]
    for name, pixels, *values in zip(evaluation.labels.names, scores.pixels, *columns, strict=True):
        # Text: names in brackets are not markup
        table.add_row(Text(name), *map(_cell, values), str(pixels))
    console = Console()
    if not console.is_terminal:
        console = Console(width=110)  # the default of 80 columns would truncate numbers in a log
    console.print(table)
    if scores.outcomes:
        table = Table("class", **style)
        for name in scores.outcomes[0]:
            table.add_column(name.upper(), justify="right")
        for name, numbers in zip(evaluation.labels.names, scores.outcomes, strict=True):
            table.add_row(Text(name), *map(str, numbers.values()))
        console.print(table)
    overall = ((metric.overall_heading(), metric.overall_key()) for metric in metrics)
    print(", ".join(f"{heading} {_cell(scores.overall[key])}" for heading, key in overall if key is not None))


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Parse twice: the model and --config name the files with defaults of the data options."""
    parser = new_parser("evaluate", "Evaluate a run or a bundle on a labelled split, and write a report.")
    parser.add_argument(
        "model",
        type=str,
        help="a run directory, a bundle directory, a file of xseg export or a Hub id; several with "
        "commas between them, or the folder of xseg crossval, as an ensemble",
    )
    parser.add_argument("--split", choices=SPLITS, default="val", help="split of the data set")
    parser.add_argument(
        "--output_dir", type=str, help="folder for the results; in the run or runs/evaluate/NAME by default"
    )
    parser.add_argument("--config", type=str, help="a YAML file whose `data:` replaces all of the run's data options")
    own = "your own metrics in addition to xseg's, such as metrics.py:MyMetric"
    parser.add_argument("--metrics", type=str, nargs="+", default=[], help=own)
    parser.add_argument("--overwrite", action="store_true", help="replace the scores of another evaluation")
    add_options(parser, InferenceOptions)
    parser.add_class_arguments(DataOptions, "data")
    first = parse_arguments(parser, arguments)
    from xseg.bundles.locate import locate_run, members_of  # after --help, because it imports torch

    model = first.model if Path(first.model).exists() else members_of(first.model)[0]
    run = locate_run(model) or Path(model)
    file = Path(first.config) if first.config else run / "config.yaml"
    if first.config or file.is_file():
        parser.set_defaults(read_data_options(file))
    values: dict[str, Any] = vars(parser.instantiate(parse_arguments(parser, arguments)))
    return values
