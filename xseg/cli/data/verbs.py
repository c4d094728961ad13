"""`xseg data`: check, statistics and preview of a data set, with common options."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentParser

from xseg.cli import run_part
from xseg.cli.arguments import new_parser, parse_with_data
from xseg.errors import ConfigError

ACTIONS = {name: f"xseg.cli.data.{name}:{name}" for name in ("check", "stats", "preview")}


def main(arguments: Sequence[str]) -> int:
    """Check, measure or preview a labelled data set.

    Returns:
        0; 1 if `check` found errors.

    Raises:
        XsegError: if an option is wrong, or the data set does not exist.
    """
    return run_part("data", "ACTION [--config FILE ...] [--data.root DIR] [options]", ACTIONS, arguments)


def parse_data_arguments(
    action: Callable[..., int], arguments: Sequence[str], add_arguments: Callable[[ArgumentParser], None]
) -> dict[str, Any]:
    """Parse the arguments of an action; `--config` names files with defaults of the data options.

    Returns:
        Values by name; `data` holds the `DataOptions`.

    Raises:
        ConfigError: if an option is unknown or wrong, or a file cannot be read.
    """
    parser = new_parser(f"data {action.__name__}", action)
    files = "a YAML file with `data:` options; may be given several times"
    parser.add_argument("--config", type=str, action="append", default=[], help=files)
    processes = min(8, os.cpu_count() or 1)
    parser.add_argument("--workers", type=int, default=processes, help="number of processes that decode files")
    add_arguments(parser)
    values = parse_with_data(parser, arguments, lambda given: given.config)
    if values["workers"] < 0:
        raise ConfigError(f"workers={values['workers']}", expected="0 or more")
    return values
