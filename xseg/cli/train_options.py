"""The options of `xseg train`: read, checked and explained without importing torch."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser, Namespace

from xseg.data.options import DataOptions
from xseg.errors import ConfigError
from xseg.training.checkpoints.run_directory import RunDirectory
from xseg.training.options.run import RunOptions
from xseg.training.options.task import TaskOptions

PROGRAM = "xseg train"
DESCRIPTION = """Train a model on a labelled data set. Later --config files override earlier ones, and options override
files. Besides the options below, --trainer.NAME sets any argument of Lightning's Trainer (max_epochs, precision,
devices, ...): `xseg train --help trainer` lists them."""
USAGE = f"{PROGRAM} --config FILE [--config FILE ...] [--output_dir RUN] [--a.b value ...]"
AUTO = "auto"
SPECIAL = ("help", "config", "print_config")


@dataclass(frozen=True)
class TrainRequest:
    """What the user asked for, apart from Lightning's Trainer.

    Args:
        task: the model and how it learns.
        data: the data.
        run: where everything is written.
        options: what a run keeps and guards against.
        resume: the checkpoint to go on from.
        overwrite: whether an older run in the same folder is replaced.
        seed: of every random choice.
    """

    task: TaskOptions
    data: DataOptions
    run: RunDirectory
    options: RunOptions
    resume: Path | None
    overwrite: bool
    seed: int


def add_options(parser: ArgumentParser) -> None:
    """Add the options that are ours; the Trainer's are Lightning's."""
    parser.add_argument("--output_dir", type=str, default="runs/train", help="the folder that receives the run")
    resume = "a run's last.ckpt, to go on from there; auto for that of output_dir if there is one, else a new run"
    parser.add_argument("--resume", type=str | None, default=None, help=resume)
    parser.add_argument("--overwrite", action="store_true", help="replace an older run in output_dir")
    parser.add_argument("--seed_everything", type=int, default=0, help="seed of every random choice, 0 or more")
    parser.add_class_arguments(TaskOptions, "model")
    parser.add_class_arguments(DataOptions, "data")
    parser.add_class_arguments(RunOptions, "run")


def build_parser() -> ArgumentParser:
    """Return a parser of our options that lets those of the Trainer through; quick to build."""
    parser = ArgumentParser(prog=PROGRAM, usage=USAGE, description=DESCRIPTION, exit_on_error=False)
    parser.add_argument("--config", action="config", help="a YAML file of options; may be given several times")
    add_options(parser)
    parser.add_argument("--trainer", type=dict[str, Any], default={}, help="arguments of Lightning's Trainer")
    return parser


def parse_request(arguments: Sequence[str]) -> TrainRequest:
    """Read and check everything but the Trainer's arguments.

    Raises:
        ConfigError: if an option is unknown, has a wrong type or value, or a file is missing.
    """
    parser = build_parser()
    refuse_unknown_options(arguments, known_options(parser))
    config = parse(parser, [*_without_trainer(arguments)])
    if config.resume is not None and config.overwrite:
        raise ConfigError("both resume and overwrite", expected="one of them", remedy="going on removes nothing")
    if config.seed_everything < 0:
        raise ConfigError(f"seed_everything={config.seed_everything}", expected="0 or more")
    made = parser.instantiate(config)
    run = RunDirectory(Path(config.output_dir))
    resume = _checkpoint(config.resume, run)
    if resume is not None and made.run.find_batch_size:
        raise ConfigError("both resume and run.find_batch_size", expected="one of them", remedy="the batch stays")
    return TrainRequest(
        task=made.model,
        data=made.data,
        run=run,
        options=made.run,
        resume=resume,
        # a run that was killed before its first checkpoint begins again
        overwrite=config.overwrite or (config.resume == AUTO and resume is None and run.config.is_file()),
        seed=config.seed_everything,
    )


def _checkpoint(asked: str | None, run: RunDirectory) -> Path | None:
    """Return the checkpoint to go on from; None for a new run.

    Raises:
        ConfigError: if the one that is named is not there.
    """
    if asked is None:
        return None
    path = run.last_checkpoint if asked == AUTO else Path(asked)
    if path.is_file() or path.with_name(run.previous_checkpoint.name).is_file():
        return path
    if asked == AUTO:
        return None
    raise ConfigError(f"resume={asked} is not there", expected="the last.ckpt of a run, or auto")


def parse(parser: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """Parse, with errors as one line that names the option.

    Raises:
        ConfigError: if a value has the wrong type or a file cannot be read.
    """
    try:
        return parser.parse_args([*arguments])
    except ArgumentError as error:
        raise _explained(str(error)) from error


def _explained(message: str) -> ConfigError:
    """Return jsonargparse's error about a value in our words."""
    message = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", " ".join(message.split()))
    message = re.sub(r"\btyping\.", "", message)
    value = re.fullmatch(r'Parser key "([^"]+)": Expected an? (.+?)\.? Got value: (.*)', message)
    if value:
        return ConfigError(f"{value[1]}={value[3]}", expected=value[2])
    union = re.fullmatch(r'Parser key "([^"]+)": .*Subtypes: \[(.+)\] Errors: .* Given value: (.*)', message)
    if union:
        return ConfigError(f"{union[1]}={union[3]}", expected=union[2].replace("NoneType", "null"))
    found = re.fullmatch(r'Parser key "([^"]+)": (.*)', message)
    return ConfigError(f"option {found[1]!r}: {found[2]}" if found else message)


def known_options(parser: ArgumentParser) -> dict[str, Any]:
    """Return the parser's options as nested dictionaries; the leaves are defaults."""
    options: dict[str, Any] = parser.get_defaults(skip_validation=True).as_dict()
    return options


def refuse_unknown_options(arguments: Sequence[str], known: Mapping[str, Any]) -> None:
    """Look for options that do not exist, on the command line and in the files it names.

    Args:
        arguments: the command line.
        known: options as nested dictionaries; whatever lies under a leaf is not looked at.

    Raises:
        ConfigError: for the first one, with the nearest name.
    """
    for name in _option_names(arguments):
        if name not in SPECIAL:
            _refuse_unknown(name.split("."), known, where="")
    for file in _config_files(arguments):
        for path in _paths(read_config(file)):
            _refuse_unknown(path, known, where=f" in {file}")


def _refuse_unknown(path: Sequence[str], known: Mapping[str, Any], *, where: str) -> None:
    level: Any = known
    for depth, key in enumerate(path):
        if not isinstance(level, Mapping) or (depth and not level):
            return
        if key not in level:
            # the whole name first: the right word may be in another group
            everything = [".".join(names) for names in _paths(known)]
            near = difflib.get_close_matches(".".join(path), everything, n=1, cutoff=0.5)
            near = near or [name for name in everything if name.rpartition(".")[2] == path[-1]][:1]
            hint = f"did you mean {near[0]!r}?" if near else f"`{PROGRAM} --help` lists the options"
            raise ConfigError(f"unknown option {'.'.join(path)!r}{where}", remedy=hint)
        level = level[key]


def _paths(tree: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the way to every leaf of nested dictionaries."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from ((str(key), *rest) for rest in _paths(value))
        else:
            yield (str(key),)


def _option_names(arguments: Sequence[str]) -> Iterator[str]:
    for argument in arguments:
        if argument.startswith("--") and len(argument) > 2:
            yield argument[2:].partition("=")[0].removesuffix("+")


def _config_files(arguments: Sequence[str]) -> Iterator[str]:
    following = [*arguments, ""][1:]
    for argument, after in zip(arguments, following, strict=True):
        if argument == "--config":
            yield after
        elif argument.startswith("--config="):
            yield argument.partition("=")[2]


def read_config(file: str) -> Mapping[str, Any]:
    """Return the options that a YAML file holds.

    Raises:
        ConfigError: if the file is missing or is not YAML of nested options.
    """
    try:
        values = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--config {file!r} cannot be read: {error.strerror}", expected="a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {file!r} is not YAML: {error}") from error
    if not isinstance(values, Mapping):
        raise ConfigError(f"--config {file!r} holds {type(values).__name__}", expected="options as `name: value`")
    return values


def _without_trainer(arguments: Sequence[str]) -> Iterator[str]:
    """Leave out the Trainer's arguments and their values."""
    skip_value = False
    for argument in arguments:
        if argument.startswith("--"):
            skip_value = argument.startswith("--trainer")
            if skip_value:
                continue
        if not skip_value:
            yield argument
