"""Arguments of Lightning's Trainer, from the command line and its files, and its progress in a notebook."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback, LightningModule, Trainer

from xseg.api.parsing import parse
from xseg.api.progress import NotebookProgress
from xseg.api.train_options import PROGRAM, divide_arguments, refuse_unknown_options
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
    refuse_unknown_options(arguments, parser, group="trainer")
    config = parse(parser, divide_arguments(arguments)[1])
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


class NotebookEpoch(Callback):
    """Shows the batches of an epoch as one line that changes; the line of the finished epoch replaces it."""

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Start a line, as a resumed epoch has no start."""
        self.on_train_epoch_start(trainer, module)

    def on_train_epoch_start(self, trainer: Trainer, _module: LightningModule) -> None:
        """Start a line."""
        batches = trainer.num_training_batches
        total = int(batches) if math.isfinite(batches) else 0
        self._progress = NotebookProgress(f"epoch {trainer.current_epoch + 1}", total, "batches")

    def on_train_batch_end(
        self, _trainer: Trainer, _module: LightningModule, _outputs: Any, _batch: Any, _index: int
    ) -> None:
        """Count a batch."""
        self._progress.advance()
