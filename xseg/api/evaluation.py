"""Evaluation of a model on a labelled split, with files and a table."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xseg.api.data import DataSource, data_values
from xseg.api.parsing import parse_data
from xseg.api.progress import show_progress
from xseg.evaluation.results import COUNTS_FILE, METRICS_FILE, EvaluationSettings, write_metrics, write_per_image
from xseg.files.atomic import write_text
from xseg.files.description import described_by
from xseg.files.objects import plain_values
from xseg.files.progress import NO_PROGRESS, ShowProgress
from xseg.inference.options import BackendOption, InferenceOptions, PrecisionOption
from xseg.inference.tiling import TileOption
from xseg.labels.threshold import ThresholdArgument
from xseg.models.architectures import ArchitectureArgument
from xseg.types import OutputStride, PathArgument, Split

if TYPE_CHECKING:
    from xseg.data.sample import Reader
    from xseg.evaluation.evaluate import Evaluation
    from xseg.inference.predictor import Predictor
    from xseg.metrics.registry import MetricSource


@described_by(InferenceOptions)
def evaluate(
    model: PathArgument | Sequence[PathArgument],
    *,
    data: DataSource | None = None,
    split: Split = "val",
    output_dir: PathArgument | None = None,
    metrics: Sequence[MetricSource] = (),
    overwrite: bool = False,
    quiet: bool = False,
    scales: Sequence[float] = InferenceOptions.scales,
    flip: bool = InferenceOptions.flip,
    rotations: bool = InferenceOptions.rotations,
    output_stride: OutputStride | None = InferenceOptions.output_stride,
    batch_size: int = InferenceOptions.batch_size,
    device: str = InferenceOptions.device,
    precision: PrecisionOption = InferenceOptions.precision,
    backend: BackendOption = InferenceOptions.backend,
    tile: TileOption = InferenceOptions.tile,
    overlap: int | None = InferenceOptions.overlap,
    architecture: ArchitectureArgument | None = InferenceOptions.architecture,
    threshold: ThresholdArgument = InferenceOptions.threshold,
    background: str | None = InferenceOptions.background,
) -> Evaluation:
    """Evaluate a model on a labelled `split`, as `xseg evaluate`, and write metrics.json, per_image.csv and a report.

    The `model` is a run, a bundle, an exported file or a Hub id; several are an ensemble. The `data` is as for
    `xseg.train`; by default that of the run. The files go to `output_dir`; by default into the run, or below
    runs/evaluate for other models. Further `metrics` are class paths, classes or objects. Scores of another evaluation
    are replaced only with `overwrite`; with `quiet`, no progress is shown.

    Raises:
        XsegError: if the model or the data set is wrong, or the folder holds the scores of another evaluation.
    """
    model = model if isinstance(model, str | PathLike) else ",".join(map(str, model))
    own = plain_values({"architecture": architecture, "metrics": [*metrics]})
    given = {**locals(), "architecture": own["architecture"]}
    options = InferenceOptions(**{field.name: given[field.name] for field in fields(InferenceOptions)})
    values = data_values((run_configuration(model) or {}) if data is None else data)
    chosen = parse_data(values)
    directory = Path(output_dir or default_directory(model, split))
    settings = EvaluationSettings(str(model), split, chosen, options, tuple(own["metrics"]))
    if not overwrite:
        settings.require_same(directory)

    from xseg.bundles.locate import FOLDS_FILE, locate_bundle, locate_run, members_of
    from xseg.data.readers.registry import create_reader
    from xseg.exporting.exported import is_export
    from xseg.inference.loading import load

    if split != "test" and Path(model, FOLDS_FILE).is_file():
        note = f"note: most folds were trained on the {split} images; see crossval.csv for held-out ones"
        print(note, file=sys.stderr)
    for member in members_of(model):
        if not is_export(member):
            locate_bundle(member)  # otherwise a mistyped run would give an error about its data options
    reader = create_reader(chosen)
    reader.records(split)  # a missing folder is reported before the model is loaded
    predictor = load(model, **asdict(options))
    history = (locate_run(model) or Path(model)) / "metrics.csv"
    return evaluate_and_report(
        predictor,
        reader,
        directory,
        settings,
        summary={"Model": str(model)},
        history=history if history.is_file() else None,
        show=NO_PROGRESS if quiet else show_progress,
    )


def run_configuration(model: PathArgument) -> Path | None:
    """Return the configuration of a run, or of the first of several; None for other models."""
    from xseg.bundles.locate import locate_run, members_of

    first = model if Path(model).exists() else members_of(model)[0]
    file = (locate_run(first) or Path(first)) / "config.yaml"
    return file if file.is_file() else None


def default_directory(source: PathArgument, split: Split) -> Path:
    """Return the default folder for scores: inside a run or a cross-validation, else below runs/evaluate."""
    from xseg.bundles.locate import FOLDS_FILE, locate_run, members_of

    run = Path(source) if Path(source, FOLDS_FILE).is_file() else locate_run(source)
    name = "+".join(Path(member).name for member in members_of(source))
    return run / "evaluation" / split if run else Path("runs", "evaluate", name, split)


def evaluate_and_report(
    predictor: Predictor,
    reader: Reader,
    directory: PathArgument,
    settings: EvaluationSettings,
    *,
    summary: Mapping[str, str] | None = None,
    history: PathArgument | None = None,
    show: ShowProgress = show_progress,
) -> Evaluation:
    """Evaluate a model with a progress bar, and write metrics.json, counts.json, per_image.csv and report.html.

    `history` is the metrics.csv of a training, for curves in the report; `summary` begins its head.

    Raises:
        XsegError: as in `xseg.evaluation.evaluate.evaluate`, or if the history cannot be read.
        OSError: if a file cannot be written.
    """
    from xseg.evaluation.evaluate import evaluate as score
    from xseg.reports.evaluation import summarize_model, write_report

    evaluation = score(predictor, reader, settings.split, metrics=settings.metrics, show=show)
    directory = Path(directory)
    counts = {name: numbers.tolist() for name, numbers in evaluation.counts.items()}
    write_text(directory / COUNTS_FILE, json.dumps(counts) + "\n")
    write_metrics(evaluation, directory / METRICS_FILE, settings)
    write_per_image(evaluation, directory / "per_image.csv")
    data = " ".join(filter(None, (settings.data.reader, settings.data.root)))
    head = {**(summary or {}), **summarize_model(predictor), "Data": data}
    title = Path(settings.model).resolve().name
    write_report(evaluation, directory / "report.html", title=title, summary=head, history=history)
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
        footer = "" if key is None else score_text(scores.overall[key])
        heading = Text(metric.heading().replace(" ", "\n"))  # words below each other, for 80 columns
        table.add_column(heading, footer=footer, justify="right", no_wrap=True)
    table.add_column("pixels", footer=str(sum(scores.pixels)), justify="right", no_wrap=True)
    columns = [scores.per_class[metric.name] for metric in shown]
    for name, pixels, *values in zip(evaluation.labels.names, scores.pixels, *columns, strict=True):
        # Text: names in brackets are not markup
        table.add_row(Text(name), *map(score_text, values), str(pixels))
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
    print(", ".join(f"{heading} {score_text(scores.overall[key])}" for heading, key in overall if key is not None))


def score_text(value: float | None) -> str:
    """Return a score with four decimals, or a dash."""
    return "-" if value is None else f"{value:.4f}"
