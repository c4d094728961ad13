"""A training from its options to its report, with what it prints."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from xseg.api.evaluation import evaluate_and_report, print_scores
from xseg.api.progress import LINE_WIDTH, clock_time, in_notebook, show_progress
from xseg.api.train_options import parse_request
from xseg.files.progress import NO_PROGRESS

if TYPE_CHECKING:
    from xseg.data.readers.class_folders import ClassFolders
    from xseg.data.sample import Reader
    from xseg.training.callbacks.epoch_table import Row
    from xseg.training.checkpoints.resumption import Resumption
    from xseg.training.options.request import TrainRequest
    from xseg.training.run.base import TrainingRun
    from xseg.training.run.classification import ClassificationRun
    from xseg.training.run.segmentation import SegmentationRun

Say: TypeAlias = Callable[[str], None]
EPOCH_LINE = {"train/loss": "loss", "val/loss": "val loss", "val/miou": "val mIoU", "val/accuracy": "val accuracy"}


def run_training(
    arguments: Sequence[str],
    *,
    callbacks: Sequence[Any] = (),
    loggers: Sequence[Any] = (),
    quiet: bool = False,
    again: str = "xseg train --config {config} --resume {checkpoint}",
) -> TrainRequest[Any, Any]:
    """Train as the arguments of `xseg train` say, and return them parsed.

    The `callbacks` and `loggers` are further ones of Lightning; with `quiet`, nothing is printed; `again` says to the
    user how to resume an interrupted training.

    Raises:
        XsegError: if an option, the data or the weights are wrong, before training starts.
        KeyboardInterrupt: if the user stops it.
    """
    request = parse_request(arguments)
    first = is_first_process()
    speaks = first and not quiet
    say, note = (_say, _note) if speaks else (_silent, _silent)
    if first:
        request.run.require_free(resume=request.resume is not None, overwrite=request.overwrite)
    find = _find_classes if request.task == "classification" else _find_masks
    reader = find(request, on_message=say)  # before slow imports

    from xseg.api.trainer_options import NotebookEpoch, parse_trainer, with_objects
    from xseg.training.run.classification import ClassificationRun
    from xseg.training.run.loggers import quiet_lightning
    from xseg.training.run.segmentation import SegmentationRun

    quiet_lightning()
    trainer, trainer_config = with_objects(*parse_trainer(arguments), callbacks=callbacks, loggers=loggers)
    if quiet:
        trainer["enable_progress_bar"] = False
    elif speaks and in_notebook():
        trainer, _ = with_objects(trainer, trainer_config, callbacks=[NotebookEpoch()], loggers=())
    kind: Any = ClassificationRun if request.task == "classification" else SegmentationRun
    run = kind(request, trainer, reader, on_epoch=_print_epoch if speaks else None, on_message=note)
    _describe(run, trainer_config, say, note)
    _fit(run, again)
    if run.trainer.is_global_zero:
        (_report_classifier if request.task == "classification" else _report)(run, say)
        files = request.run
        say(f"best model: {files.best}\nlast state: {files.last_checkpoint}\nreport: {files.report}")
    return request


def is_first_process() -> bool:
    """Return whether this is the only process of a training, or the first of several by their launcher's numbers."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def _fit(training: TrainingRun[Any, Any, Any, Any], again: str) -> None:
    from xseg.training.callbacks.last_checkpoint import TrainingStopped

    run = training.request.run
    try:
        training.fit()
    except (KeyboardInterrupt, TrainingStopped) as stop:
        if training.trainer.is_global_zero and run.last_checkpoint.is_file():
            when = f"after step {stop.step}" if isinstance(stop, TrainingStopped) else "at once"
            _note(f"stopped {when}; resume with: {again.format(config=run.config, checkpoint=run.last_checkpoint)}")
        raise KeyboardInterrupt from stop


def _find_masks(request: TrainRequest[Any, Any], *, on_message: Callable[[str], None]) -> Reader:
    """Return the reader of a data set with masks, after counting its images."""
    from xseg.data.readers.registry import create_reader
    from xseg.errors import ConfigError

    reader = create_reader(request.data)
    if reader.labels.overlapping != (request.task == "multilabel"):
        kind = "overlapping" if reader.labels.overlapping else "exclusive"
        raise ConfigError(
            f"task={request.task} with {kind} classes",
            expected="task multilabel for overlapping classes, and no other",
            remedy="set data.layout.labels.overlapping, and its encoding for files: bands or files",
        )
    counts = {split: len(reader.records(split)) for split in ("train", "val")}
    train, val, classes = counts["train"], counts["val"], len(reader.labels)
    on_message(f"data: {train} training and {val} validation images, {classes} classes")
    return reader


def _find_classes(request: TrainRequest[Any, Any], *, on_message: Callable[[str], None]) -> ClassFolders:
    """Return the folders of classes, without broken images if requested."""
    from xseg.data.readers.class_folders import list_classes
    from xseg.doctor.quick_look import look_at_classes
    from xseg.errors import DataError

    folders = list_classes(request.data, seed=request.seed)
    look = look_at_classes(folders, request.data.check)
    if look.broken:
        if not request.data.skip_broken:
            raise DataError(
                look.summary(),
                expected="complete image files",
                remedy="replace or remove them, or leave them out with --data.skip_broken true",
            )
        folders = folders.without({split: [*found] for split, found in look.broken.items()})
        on_message(f"left out {look.summary()}")
    train, val, names = (len(folders.files["train"]), len(folders.files["val"]), folders.classes)
    listed = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    how = " (held out)" if folders.held_out else ""
    on_message(f"data: {train} training and {val} validation{how} images, {len(names)} classes: {listed}")
    return folders


def _describe(training: TrainingRun[Any, Any, Any, Any], trainer: Mapping[str, Any], say: Say, note: Say) -> None:
    """Write configuration and environment to the run, and print the model and the settings."""
    from xseg.files.atomic import write_text
    from xseg.training.environment import describe_environment, describe_resumed

    request, resumption = training.request, training.resumption
    run = request.run
    if not training.trainer.is_global_zero:
        return
    if request.overwrite:
        run.clear()
    run.sweep()
    config = request.to_config(trainer)
    environment = describe_environment(training.reader, seed=request.seed, config=config)
    if resumption is not None:
        environment = describe_resumed(run.environment, environment)
        _print_resumption(resumption, environment, say, note)
    write_text(run.config, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    write_text(run.environment, json.dumps(environment, indent=2) + "\n")
    model, loop = request.model, training.trainer
    kind = getattr(model, "architecture", "classifier")
    parameters = sum(parameter.numel() for parameter in training.task.model.parameters())
    processes = f", {loop.world_size} processes" if loop.world_size > 1 else ""
    say(
        f"model: {kind} on {model.encoder}, {parameters / 1e6:.2f} M parameters, "
        f"{loop.precision} on {loop.strategy.root_device}{processes}, "
        f"{training.batching.images_per_step} images per step"
    )
    kept = "frozen" if training.statistics.frozen else "trained"
    say(f"batch normalisation: the encoder's statistics are {kept}: {training.statistics.reason}")


def _print_resumption(resumption: Resumption[Any], environment: Mapping[str, Any], say: Say, note: Say) -> None:
    """Print the resumed checkpoint, and differences in the environment that may change the weights."""
    if resumption.note:
        note(resumption.note)
    say(f"resuming from {resumption.path} after step {resumption.step}")
    starts = [environment, *environment["resumed"]]
    for name in ("torch", "threads", "hardware"):
        if starts[-1][name] != starts[0][name]:
            note(f"{name} was {starts[0][name]} and is now {starts[-1][name]}: the last bits of the weights may differ")


def _print_epoch(row: Row, epochs: int | None, seconds_left: float | None) -> None:
    parts = [f"epoch {row['epoch']}" + (f"/{epochs}" if epochs else "")]
    parts += [f"{name} {row[column]:.4f}" for column, name in EPOCH_LINE.items() if row.get(column) is not None]
    if row["images_per_second"] is not None:
        parts.append(f"{row['images_per_second']:.1f} images/s")
    if row["data_wait"] is not None and row["data_wait"] >= 0.01:
        parts.append(f"waiting for data {row['data_wait']:.0%}")
    parts += [f"{row['memory_gb']:.1f} GB", f"{row['seconds']:.1f} s"]
    if seconds_left is not None:
        parts.append(f"{clock_time(seconds_left)} left")
    _say("  ".join(parts))


def _say(line: str) -> None:
    print(f"\r{line:<{LINE_WIDTH}}" if in_notebook() else line, flush=True)


def _note(line: str) -> None:
    print(f"note: {line}", file=sys.stderr, flush=True)


def _silent(_line: str) -> None:
    """Print nothing, as the first process prints the line."""


def _report(training: SegmentationRun, say: Say) -> None:
    """Evaluate the best bundle on the validation split, and write and print the results."""
    from xseg.evaluation.results import EvaluationSettings
    from xseg.inference.loading import load

    request, run = training.request, training.request.run
    predictor = load(run.best, architecture=request.model.architecture)
    settings = EvaluationSettings(str(run.path), "val", request.data, predictor.options, request.options.metrics)
    show = NO_PROGRESS if say is _silent else show_progress
    found = evaluate_and_report(predictor, training.reader, run.path, settings, history=run.metrics, show=show)
    if say is not _silent:
        print_scores(found)


def _report_classifier(training: ClassificationRun, say: Say) -> None:
    """Evaluate the best classifier on the validation split, and write and print the results."""
    from xseg.bundles.bundle import load_bundle
    from xseg.data.loading.datamodule import ClassificationData
    from xseg.evaluation.classification import evaluate_classifier
    from xseg.reports.classification import write_report

    run = training.request.run
    data = ClassificationData(training.reader, training.request.data, training.normalization)
    model = load_bundle(run.best, "classification").model
    device = training.trainer.strategy.root_device
    show = NO_PROGRESS if say is _silent else show_progress
    scores, worst = evaluate_classifier(model, data.val_dataloader(), device=device, show=show)
    write_report(
        run.report,
        title=run.path.resolve().name,
        scores=scores,
        classes=training.reader.classes,
        history=run.metrics,
        mistakes=[(mistake, data.dataset("val").picture(mistake.index)) for mistake in worst],
    )
    say(f"best accuracy: {scores.accuracy:.4f} (top-5 {scores.top5:.4f})")
