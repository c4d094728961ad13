"""Arguments of Lightning's Trainer, from the command line and its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch import Trainer

from xseg.api.parsing import parse
from xseg.api.train_options import PROGRAM, known_options, refuse_unknown_options, trainer_arguments
from xseg.files.objects import plain_values

DEFAULTS = {"max_epochs": 50, "num_sanity_val_steps": 0, "enable_model_summary": False}


def build_trainer_parser() -> ArgumentParser:
    """Return a parser for the Trainer's arguments."""
    parser = ArgumentParser(prog=PROGRAM, exit_on_error=False)
    parser.add_class_arguments(Trainer, "trainer", fail_untyped=False, instantiate=False, sub_configs=True)
    parser.set_defaults({f"trainer.{name}": value for name, value in DEFAULTS.items()})
    return parser


def parse_trainer(arguments: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parse and check the Trainer's arguments; return them with instantiated classes, and as in a file for `--config`.

    Raises:
        ConfigError: if an option is unknown or has a wrong type.
    """
    parser = build_trainer_parser()
    refuse_unknown_options(arguments, known_options(parser), group="trainer")
    config = parse(parser, [*trainer_arguments(arguments)])
    plain = yaml.safe_load(parser.dump(config, skip_unset=False, skip_validation=True))["trainer"]
    return dict(parser.instantiate(config).trainer), plain


def with_objects(
    options: Mapping[str, Any], plain: Mapping[str, Any], *, callbacks: Sequence[Any], loggers: Sequence[Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the Trainer's arguments with further callbacks and loggers, and their class paths in the file."""
    made, written = dict(options), dict(plain)
    for name, objects in (("callbacks", callbacks), ("logger", loggers)):
        if objects:
            known, named = ([each] if not isinstance(each, list) else each for each in (made[name], written[name]))
            made[name] = [*(one for one in known if one not in (None, True)), *objects]
            written[name] = [*(one for one in named if one not in (None, True)), *plain_values([*objects])]
    return made, written
