"""`xseg data`: the data set doctor, its statistics and its preview."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from xseg.cli import EXIT_OK
from xseg.cli.arguments import new_parser, parse_arguments
from xseg.cli.evaluate import read_data_options
from xseg.data.options import DataOptions
from xseg.errors import ConfigError

ACTIONS = {
    "check": "find what is wrong with a data set before it costs a night",
    "stats": "count pixels and images per class and split; sizes; the channels' means and deviations",
    "preview": "draw contact sheets of images with their masks, before and after augmentation",
}


def main(arguments: Sequence[str]) -> int:
    """Check a labelled data set, measure it, or look at it.

    Args:
        arguments: what follows `xseg data`.

    Returns:
        0; 1 if `check` found errors.

    Raises:
        XsegError: if an option is wrong, or the data set is not where the options say.
    """
    action, *rest = [*arguments] or ["--help"]
    if action in ("-h", "--help"):
        print(_usage())
        return EXIT_OK
    if action == "check":
        from xseg.cli.data.check import check

        return check(rest)
    if action == "stats":
        from xseg.cli.data.stats import stats

        return stats(rest)
    if action == "preview":
        from xseg.cli.data.preview import preview

        return preview(rest)
    near = difflib.get_close_matches(action, ACTIONS, n=1)
    raise ConfigError(
        f"unknown action {action!r}",
        expected=f"one of {', '.join(ACTIONS)}",
        remedy=f"did you mean {near[0]}?" if near else "",
    )


def parse_data_arguments(
    action: str, arguments: Sequence[str], add_arguments: Callable[[ArgumentParser], None]
) -> dict[str, Any]:
    """Parse the arguments of an action; `--config` says which files hold the defaults of the data's options.

    Args:
        action: one of `ACTIONS`.
        arguments: what follows the action.
        add_arguments: adds the action's own options.

    Returns:
        The values by name; `data` holds the `DataOptions`.

    Raises:
        ConfigError: if an option is unknown or wrong, or a file cannot be read.
    """
    parser = new_parser(f"data {action}", f"Of a labelled data set, {ACTIONS[action]}.")
    parser.add_argument(
        "--config",
        type=str,
        action="append",
        default=[],
        help="a YAML file whose `data:` says which data set; may be given several times",
    )
    parser.add_argument("--workers", type=int, default=min(8, os.cpu_count() or 1), help="processes that decode files")
    add_arguments(parser)
    parser.add_class_arguments(DataOptions, "data")
    for file in parse_arguments(parser, arguments).config:
        parser.set_defaults(read_data_options(Path(file)))
    values: dict[str, Any] = vars(parser.instantiate(parse_arguments(parser, arguments)))
    if values["workers"] < 0:
        raise ConfigError(f"workers={values['workers']}", expected="0 or more")
    return values


def _usage() -> str:
    rows = [f"  {action:<10} {text}" for action, text in ACTIONS.items()]
    return "\n".join(
        [
            "usage: xseg data ACTION [--config FILE ...] [--data.root DIR] [options]",
            "",
            (main.__doc__ or "").splitlines()[0],
            "",
            "actions:",
            *rows,
            "",
            "xseg data ACTION --help lists the options of an action.",
        ]
    )
