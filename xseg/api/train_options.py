"""Options of `xseg train`, parsed and checked without importing torch."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from xseg.api.parsing import is_inline, leaves, parse, read_config
from xseg.data.options import ClassDataOptions, DataOptions
from xseg.errors import ConfigError
from xseg.files.objects import refuse_lost_objects
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.options.request import TrainRequest
from xseg.training.options.run import RunOptions
from xseg.training.options.task import ClassifierOptions, TaskOptions
from xseg.types import Task

PROGRAM = "xseg train"
DESCRIPTION = """Train a segmentation model on a labelled data set, with --task multilabel for overlapping classes, or
with --task classification a classifier on folders of classes (then --help lists its options). Later --config files
override earlier ones, and options override files. In addition, --trainer.NAME sets any argument of Lightning's Trainer
(max_epochs, precision, devices, ...): `xseg train --help trainer` lists them."""
USAGE = f"{PROGRAM} --config FILE [--config FILE ...] [--output_dir RUN] [--a.b value ...]"
AUTO = "auto"
SPECIAL = ("help", "config", "print_config")


OPTIONS: dict[Task, tuple[type, type]] = {
    "segmentation": (TaskOptions, DataOptions),
    "multilabel": (TaskOptions, DataOptions),
    "classification": (ClassifierOptions, ClassDataOptions),
}
OUTPUT = {"segmentation": "runs/train", "multilabel": "runs/train", "classification": "runs/classify"}


def asked_task(arguments: Sequence[str]) -> Task:
    """Return the task from the command line, else from the last file with one, else segmentation.

    Raises:
        ConfigError: if the task is unknown, or a file cannot be read.
    """
    said = [value for name, value in _pairs(arguments) if name == "--task"]
    said = said or [read_config(file)["task"] for file in _config_files(arguments) if "task" in read_config(file)]
    task = said[-1] if said else "segmentation"
    if task not in OPTIONS:
        raise ConfigError(f"task={task}", expected=f"one of {', '.join(OPTIONS)}")
    return task


def build_parser(task: Task = "segmentation") -> ArgumentParser:
    """Return a parser of all options except the Trainer's."""
    parser = ArgumentParser(prog=PROGRAM, usage=USAGE, description=DESCRIPTION, exit_on_error=False)
    parser.add_argument("--config", action="config", help="a YAML file of options; may be given several times")
    parser.add_argument("--task", type=Task, default=task, help="task of the model, which determines the other options")
    parser.add_argument("--output_dir", type=str, default=OUTPUT[task], help="folder of the run")
    resume = "last.ckpt of a run to resume; auto for the one in output_dir if it exists, else a new run"
    parser.add_argument("--resume", type=str | None, default=None, help=resume)
    parser.add_argument("--overwrite", action="store_true", help="replace an older run in output_dir")
    parser.add_argument("--seed_everything", type=int, default=0, help="random seed, 0 or more")
    model, data = OPTIONS[task]
    parser.add_class_arguments(model, "model")
    parser.add_class_arguments(data, "data")
    parser.add_class_arguments(RunOptions, "run")
    parser.add_argument("--trainer", type=dict[str, Any], default={}, help="arguments of Lightning's Trainer")
    return parser


def parse_request(arguments: Sequence[str]) -> TrainRequest[Any, Any]:
    """Parse and check all options except the Trainer's.

    Raises:
        ConfigError: if an option is unknown, has a wrong type or value, or a file is missing.
    """
    task = asked_task(arguments)
    for file in _config_files(arguments):
        refuse_lost_objects(read_config(file), "the configuration" if is_inline(file) else str(file))
    parser = build_parser(task)
    refuse_unknown_options(arguments, parser)
    config = parse(parser, divide_arguments(arguments)[0])
    if config.resume is not None and config.overwrite:
        raise ConfigError("both resume and overwrite", expected="one of them", remedy="resuming keeps all files")
    if config.seed_everything < 0:
        raise ConfigError(f"seed_everything={config.seed_everything}", expected="0 or more")
    made = parser.instantiate(config)
    run = RunDirectory(Path(config.output_dir))
    resume = _checkpoint(config.resume, run)
    if resume is not None and made.run.find_batch_size:
        remedy = "a resumed training keeps its batch size"
        raise ConfigError("both resume and run.find_batch_size", expected="one of them", remedy=remedy)
    if task == "multilabel":
        labels = replace(made.data.layout.labels, overlapping=True)
        made.data = replace(made.data, layout=replace(made.data.layout, labels=labels))
    return TrainRequest(
        task=task,
        model=made.model,
        data=made.data,
        run=run,
        options=made.run,
        resume=resume,
        # a run that was killed before its first checkpoint starts again
        overwrite=config.overwrite or (config.resume == AUTO and resume is None and run.config.is_file()),
        seed=config.seed_everything,
    )


def _checkpoint(asked: str | None, run: RunDirectory) -> Path | None:
    """Return the checkpoint to resume from; None for a new run."""
    path = run.last_checkpoint if asked == AUTO else Path(asked or "")
    if asked is not None and (path.is_file() or path.with_name(run.previous_checkpoint.name).is_file()):
        return path
    if asked in (None, AUTO):
        return None
    raise ConfigError(f"resume={asked} does not exist", expected="the last.ckpt of a run, or auto")


def refuse_unknown_options(arguments: Sequence[str], parser: ArgumentParser, *, group: str | None = None) -> None:
    """Refuse unknown options of a group, or of all, on the command line and in its files.

    Names below a default of the parser that is no group, such as a dictionary, are not checked.

    Raises:
        ConfigError: for the first unknown option, with the nearest name.
    """
    options = [name[2:].removesuffix("+") for name, _ in _pairs(arguments) if name.startswith("--") and len(name) > 2]
    found = [(tuple(name.split(".")), "") for name in options if name not in SPECIAL]
    for file in _config_files(arguments):
        found += [(path, "" if is_inline(file) else f" in {file}") for path in leaves(read_config(file))]
    known = parser.get_defaults(skip_validation=True).as_dict()
    for path, where in found:
        level: Any = known if group in (None, path[0]) else None
        for depth, key in enumerate(path):
            if not isinstance(level, Mapping) or (depth and not level):
                break
            if key not in level:
                # the full name first, as the right option may be in another group
                everything = [".".join(names) for names in leaves(known)]
                near = difflib.get_close_matches(".".join(path), everything, n=1, cutoff=0.5)
                near = near or [name for name in everything if name.rpartition(".")[2] == path[-1]][:1]
                hint = f"did you mean {near[0]!r}?" if near else f"`{PROGRAM} --help` lists the options"
                raise ConfigError(f"unknown option {'.'.join(path)!r}{where}", remedy=hint)
            level = level[key]


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each argument with its value, given separately or after an equals sign."""
    for argument, after in zip(arguments, [*arguments, ""][1:], strict=True):
        name, equals, value = argument.partition("=")
        yield name, value if equals else after


def _config_files(arguments: Sequence[str]) -> Iterator[str]:
    return (value for name, value in _pairs(arguments) if name == "--config")


def divide_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments without the Trainer's, and only the Trainer's, with those in files as JSON."""
    others: list[str] = []
    trainers: list[str] = []
    chosen = others
    for argument, (name, value) in zip(arguments, _pairs(arguments), strict=True):
        if argument.startswith("--"):
            chosen = trainers if argument.startswith("--trainer") else others
        chosen.append(argument)
        if name == "--config" and isinstance(read_config(value).get("trainer"), Mapping):
            for option, given in read_config(value)["trainer"].items():
                trainers += (f"--trainer.{option}", given if isinstance(given, str) else json.dumps(given))
    return others, trainers
