"""`xseg train`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xseg.cli.evaluate import evaluate_and_report, print_scores
from xseg.cli.progress import clock_time
from xseg.cli.train_options import TrainRequest, build_parser, parse_request

if TYPE_CHECKING:
    from xseg.cli.lightning_cli import TrainCLI
    from xseg.training.callbacks import Row


def main(arguments: Sequence[str]) -> int:
    """Train a model on a labelled data set.

    Returns:
        0 when the training, its evaluation and its report are done.

    Raises:
        XsegError: if an option, the data or the weights are wrong, which is found before work begins.
        KeyboardInterrupt: if the user stopped it.
    """
    if "--help" in arguments or "-h" in arguments:
        return _help(arguments)
    request = parse_request(arguments)
    request.run.require_free(resume=request.resume is not None, overwrite=request.overwrite)
    _require_data(request)
    cli = _prepare(request, arguments)
    try:
        cli.fit()
    except KeyboardInterrupt:
        if request.run.last_checkpoint.is_file():
            again = f"xseg train --config {request.run.config} --resume {request.run.last_checkpoint}"
            print(f"stopped after epoch {cli.trainer.current_epoch}; go on with: {again}", file=sys.stderr)
        raise
    if cli.trainer.is_global_zero:
        _report(cli)
    return 0


def _help(arguments: Sequence[str]) -> int:
    if "trainer" not in arguments:
        build_parser().print_help()
        return 0
    from xseg.cli.lightning_cli import TrainCLI

    TrainCLI(["--help"], parse_request([]))  # leaves by SystemExit, as argparse does
    return 0


def _require_data(request: TrainRequest) -> None:
    """Look for the data before anything slow is imported.

    Raises:
        DataError: if a split to train or validate on is missing.
    """
    from xseg.data.readers.registry import create_reader

    reader = create_reader(request.data)
    counts = {split: len(reader.records(split)) for split in ("train", "val")}
    print(f"data: {counts['train']} training and {counts['val']} validation images, {len(reader.labels)} classes")


def _prepare(request: TrainRequest, arguments: Sequence[str]) -> TrainCLI:
    """Make everything that trains, and write down with what."""
    from xseg.cli.lightning_cli import TrainCLI, quiet_lightning
    from xseg.inference.atomic import write_text
    from xseg.training.environment import describe_environment

    quiet_lightning()
    cli = TrainCLI(arguments, request, _tell)
    cli.datamodule.setup("fit")  # looks at the files: wrong ones are told before anything is written
    if cli.trainer.is_global_zero:
        if request.overwrite:
            request.run.clear()
        write_text(request.run.config, cli.resolved_config())
        environment = describe_environment(cli.reader, seed=request.seed)
        write_text(request.run.environment, json.dumps(environment, indent=2) + "\n")
    parameters = sum(parameter.numel() for parameter in cli.model.model.parameters())
    print(
        f"model: {request.task.architecture} on {request.task.encoder}, {parameters / 1e6:.2f} M parameters, "
        f"{cli.trainer.precision} on {cli.trainer.strategy.root_device}",
        flush=True,
    )
    return cli


def _tell(row: Row, epochs: int | None, seconds_left: float | None) -> None:
    """Print an epoch's line."""
    parts = [f"epoch {row['epoch']}" + (f"/{epochs}" if epochs else "")]
    for name, column in (("loss", "train/loss"), ("val loss", "val/loss"), ("val mIoU", "val/miou")):
        if row[column] is not None:
            parts.append(f"{name} {row[column]:.4f}")
    if row["images_per_second"] is not None:
        parts.append(f"{row['images_per_second']:.1f} images/s")
    parts.append(f"{row['seconds']:.1f} s")
    if seconds_left is not None:
        parts.append(f"{clock_time(seconds_left)} left")
    print("  ".join(parts), flush=True)


def _report(cli: TrainCLI) -> None:
    """Score the best bundle over the validation split, and write and print what there is."""
    from xseg.evaluation.facts import model_facts
    from xseg.inference.predictor import load

    request, run = cli.request, cli.request.run
    predictor = load(run.best)
    data = " ".join(filter(None, (request.data.reader, request.data.root)))
    evaluation = evaluate_and_report(
        predictor,
        cli.reader,
        "val",
        run.path,
        title=run.path.resolve().name,
        facts={**model_facts(predictor), "Data": data},
        history=run.metrics,
    )
    print_scores(evaluation.labels, evaluation.scores)
    print(f"best model: {run.best}\nlast state: {run.last_checkpoint}\nreport: {run.report}", flush=True)
