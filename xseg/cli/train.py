"""`xseg train`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from xseg.cli import EXIT_OK
from xseg.cli.classify_options import asks_for_classification
from xseg.cli.evaluate import evaluate_and_report, print_scores
from xseg.cli.progress import clock_time
from xseg.cli.train_options import TrainRequest, build_parser, parse_request
from xseg.data.options import DataOptions

if TYPE_CHECKING:
    from xseg.data.sample import Reader
    from xseg.training.callbacks.epoch_table import Row
    from xseg.training.checkpoints.resumption import Resumption
    from xseg.training.run import TrainCLI


def main(arguments: Sequence[str]) -> int:
    """Train a model on a labelled data set; with `task: classification`, a classifier on folders of classes.

    Returns:
        0 when the training, its evaluation and its report are done.

    Raises:
        XsegError: if an option, the data or the weights are wrong, which is found before work begins.
        KeyboardInterrupt: if the user stopped it.
    """
    if asks_for_classification(arguments):
        from xseg.cli.classify import main as classify

        return classify(arguments)
    if "--help" in arguments or "-h" in arguments:
        return _help(arguments)
    request = parse_request(arguments)
    first = is_first_process()
    if first:
        request.run.require_free(resume=request.resume is not None, overwrite=request.overwrite)
    reader = _find_data(request, on_message=print if first else _silent)
    cli = _prepare(request, arguments, reader)
    _fit(cli)
    if cli.trainer.is_global_zero:
        _report(cli)
    return EXIT_OK


def is_first_process() -> bool:
    """Return whether this is the only process of a training, or the first of several, as their starter numbers them."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def _fit(cli: TrainCLI) -> None:
    """Train.

    Raises:
        KeyboardInterrupt: if the user or a scheduler stopped it.
    """
    from xseg.training.callbacks.stop_signals import TrainingStopped

    run = cli.request.run
    try:
        cli.fit()
    except (KeyboardInterrupt, TrainingStopped) as stop:
        if cli.trainer.is_global_zero and run.last_checkpoint.is_file():
            when = f"after step {stop.step}" if isinstance(stop, TrainingStopped) else "at once"
            again = f"xseg train --config {run.config} --resume {run.last_checkpoint}"
            print(f"stopped {when}; go on with: {again}", file=sys.stderr)
        raise KeyboardInterrupt from stop


def _help(arguments: Sequence[str]) -> int:
    if "trainer" not in arguments:
        build_parser().print_help()
        return 0
    from xseg.data.readers.registry import create_reader
    from xseg.training.run import TrainCLI

    reader = create_reader(DataOptions(reader="scenes"))
    TrainCLI(["--help"], parse_request([]), reader)  # leaves by SystemExit, as argparse does
    return 0


def _find_data(request: TrainRequest, *, on_message: Callable[[str], None]) -> Reader:
    """Return the data set's reader; its images are looked for before anything slow is imported.

    Raises:
        DataError: if a split to train or validate on is missing.
    """
    from xseg.data.readers.registry import create_reader

    reader = create_reader(request.data)
    counts = {split: len(reader.records(split)) for split in ("train", "val")}
    train, val, classes = counts["train"], counts["val"], len(reader.labels)
    on_message(f"data: {train} training and {val} validation images, {classes} classes")
    return reader


def _prepare(request: TrainRequest, arguments: Sequence[str], reader: Reader) -> TrainCLI:
    """Make everything that trains, and write down with what."""
    from xseg.files.atomic import write_text
    from xseg.training.environment import describe_environment, describe_resumed
    from xseg.training.run import TrainCLI, quiet_lightning

    quiet_lightning()
    cli = TrainCLI(arguments, request, reader, _tell, _note if is_first_process() else _silent)
    if cli.trainer.is_global_zero:
        run, resumption = request.run, cli.resumption
        if request.overwrite:
            run.clear()
        run.sweep()
        config = cli.resolved_config()
        environment = describe_environment(cli.reader, seed=request.seed, config=yaml.safe_load(config))
        if resumption is not None:
            environment = describe_resumed(run.environment, environment)
            _tell_resumption(resumption, environment)
        write_text(run.config, config)
        write_text(run.environment, json.dumps(environment, indent=2) + "\n")
        _introduce(cli)
    return cli


def _tell_resumption(resumption: Resumption, environment: Mapping[str, Any]) -> None:
    """Say what is gone on from, and what keeps the training from ending exactly as it would have."""
    if resumption.note:
        _note(resumption.note)
    print(f"going on from {resumption.path} after step {resumption.step}")
    starts = [environment, *environment["resumed"]]
    for name in ("torch", "threads", "hardware"):
        if starts[-1][name] != starts[0][name]:
            _note(f"{name} was {starts[0][name]} and is {starts[-1][name]}: the last bits of the weights may differ")


def _introduce(cli: TrainCLI) -> None:
    """Say what is trained, and how."""
    task, trainer = cli.request.task, cli.trainer
    parameters = sum(parameter.numel() for parameter in cli.model.model.parameters())
    processes = f", {trainer.world_size} processes" if trainer.world_size > 1 else ""
    print(
        f"model: {task.architecture} on {task.encoder}, {parameters / 1e6:.2f} M parameters, "
        f"{trainer.precision} on {trainer.strategy.root_device}{processes}, "
        f"{cli.batching.images_per_step} images per step"
    )
    kept = "frozen" if cli.statistics.frozen else "trained"
    print(f"batch normalisation: the encoder's statistics are {kept}: {cli.statistics.reason}", flush=True)


def _tell(row: Row, epochs: int | None, seconds_left: float | None) -> None:
    """Print an epoch's line."""
    parts = [f"epoch {row['epoch']}" + (f"/{epochs}" if epochs else "")]
    for name, column in (("loss", "train/loss"), ("val loss", "val/loss"), ("val mIoU", "val/miou")):
        if row[column] is not None:
            parts.append(f"{name} {row[column]:.4f}")
    if row["images_per_second"] is not None:
        parts.append(f"{row['images_per_second']:.1f} images/s")
    if row["data_wait"] is not None and row["data_wait"] >= 0.01:
        parts.append(f"waiting for data {row['data_wait']:.0%}")
    parts.append(f"{row['memory_gb']:.1f} GB")
    parts.append(f"{row['seconds']:.1f} s")
    if seconds_left is not None:
        parts.append(f"{clock_time(seconds_left)} left")
    print("  ".join(parts), flush=True)


def _note(line: str) -> None:
    """Print a line that is no error."""
    print(f"note: {line}", file=sys.stderr, flush=True)


def _silent(_line: str) -> None:
    """Print nothing: the first process does."""


def _report(cli: TrainCLI) -> None:
    """Score the best bundle over the validation split, and write and print what there is."""
    from xseg.evaluation.settings import EvaluationSettings
    from xseg.inference.predictor import load
    from xseg.reports.model_summary import model_facts

    request, run = cli.request, cli.request.run
    predictor = load(run.best, architecture=request.task.architecture)
    data = " ".join(filter(None, (request.data.reader, request.data.root)))
    evaluation = evaluate_and_report(
        predictor,
        cli.reader,
        "val",
        run.path,
        title=run.path.resolve().name,
        facts={**model_facts(predictor), "Data": data},
        history=run.metrics,
        settings=EvaluationSettings(str(run.path), "val", request.data, predictor.options),
    )
    print_scores(evaluation)
    print(f"best model: {run.best}\nlast state: {run.last_checkpoint}\nreport: {run.report}", flush=True)
