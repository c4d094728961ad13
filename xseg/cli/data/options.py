"""Common options of the actions of `xseg data`, and the `data:` options of a configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentParser

from xseg.api.parsing import read_data_options
from xseg.cli.arguments import new_parser, parse_arguments
from xseg.data.options import DataOptions
from xseg.errors import ConfigError

ACTIONS = {
    "check": "find faults before training",
    "stats": "print pixels and images per class and split, sizes, and channel means and deviations",
    "preview": "draw contact sheets of images with their masks, before and after augmentation",
}


def parse_data_arguments(
    action: str, arguments: Sequence[str], add_arguments: Callable[[ArgumentParser], None]
) -> dict[str, Any]:
    """Parse the arguments of an action; `--config` names files with defaults of the data options.

    Returns:
        Values by name; `data` holds the `DataOptions`.

    Raises:
        ConfigError: if an option is unknown or wrong, or a file cannot be read.
    """
    parser = new_parser(f"data {action}", f"For a labelled data set: {ACTIONS[action]}.")
    parser.add_argument(
        "--config",
        type=str,
        action="append",
        default=[],
        help="a YAML file with `data:` options; may be given several times",
    )
    parser.add_argument(
        "--workers", type=int, default=min(8, os.cpu_count() or 1), help="number of processes that decode files"
    )
    add_arguments(parser)
    parser.add_class_arguments(DataOptions, "data")
    for file in parse_arguments(parser, arguments).config:
        parser.set_defaults(read_data_options(file))
    values: dict[str, Any] = vars(parser.instantiate(parse_arguments(parser, arguments)))
    if values["workers"] < 0:
        raise ConfigError(f"workers={values['workers']}", expected="0 or more")
    return values
