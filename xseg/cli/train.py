"""`xseg train`: train a segmentation model or a classifier."""

from __future__ import annotations

from collections.abc import Sequence

from xseg.api.train_options import asked_task, build_parser
from xseg.api.training import run_training
from xseg.cli import EXIT_OK


def main(arguments: Sequence[str]) -> int:
    """Train a model on a labelled data set; with `--task classification`, a classifier on folders of classes.

    Raises:
        XsegError: if an option, the data or the weights are wrong, before training starts.
        KeyboardInterrupt: if the user stops it.
    """
    if "--help" not in arguments and "-h" not in arguments:
        run_training(arguments)
    elif "trainer" in arguments:
        from xseg.api.trainer_options import build_trainer_parser

        build_trainer_parser().print_help()
    else:
        build_parser(asked_task(arguments)).print_help()
    return EXIT_OK
