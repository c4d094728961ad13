"""`xseg data`: check, statistics and preview of a data set."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from xseg.cli import EXIT_OK
from xseg.cli.data.options import ACTIONS
from xseg.errors import unknown_name


def main(arguments: Sequence[str]) -> int:
    """Check, measure or preview a labelled data set.

    Returns:
        0; 1 if `check` found errors.

    Raises:
        XsegError: if an option is wrong, or the data set does not exist.
    """
    action, *rest = [*arguments] or ["--help"]
    if action in ("-h", "--help"):
        print(_usage())
        return EXIT_OK
    if action in ACTIONS:
        status: int = getattr(importlib.import_module(f"xseg.cli.data.{action}"), action)(rest)
        return status
    raise unknown_name("unknown action", action, ACTIONS)


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
            "Run xseg data ACTION --help for the options of an action.",
        ]
    )
