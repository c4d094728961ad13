"""`xseg crossval`: train and score a model in every fold of a cross-validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xseg.api.evaluation import score_text
from xseg.cli import EXIT_OK
from xseg.cli.arguments import add_options, new_parser, options_of, parse_arguments
from xseg.predict.options import EngineOptions
from xseg.training.options.run import CrossvalOptions


def main(arguments: Sequence[str]) -> int:
    """Train and score a model in every fold of a cross-validation; the folder is then an ensemble.

    Raises:
        XsegError: if an option or the data are wrong, or a fold failed.
        KeyboardInterrupt: if the user stops it.
    """
    parser = new_parser("crossval", main)
    parser.epilog = "All options of `xseg train` are allowed too."
    add_options(parser, CrossvalOptions, EngineOptions)
    valued = {option: action.nargs != 0 for action in parser._actions for option in action.option_strings}
    own: list[str] = []
    others: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, _ = argument.partition("=")
        mine = name in valued
        (own if mine else others).append(argument)
        if mine and valued[name] and not equals:
            own.append(next(rest, ""))
    values = vars(parse_arguments(parser, own))
    options, engine = options_of(CrossvalOptions, values), options_of(EngineOptions, values)
    from xseg.api.crossval import cross_validate  # after --help, because it imports torch

    rows = cross_validate(options, others, engine, lambda line: print(line, flush=True))
    _print_table(rows)
    print(f"report: {options.output_dir}/report.html")
    return EXIT_OK


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the overall scores of each fold, their mean and standard deviation, and those of all predictions."""
    *folds, mean, spread, pooled = rows
    names = [name for name in pooled if not name.startswith("iou/") and name not in ("fold", "images")]
    lines = [[row["fold"], *(score_text(row[name]) for name in names)] for row in (*folds, pooled)]
    together = [f"{score_text(mean[name])} ± {score_text(spread[name])}" for name in names]
    lines.insert(len(folds), ["mean ± sd", *together])
    widths = [max(map(len, column)) for column in zip(["fold", *names], *lines, strict=True)]
    for line in (["fold", *names], *lines):
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
