"""`xseg benchmark`: studies that compare speed with other libraries in the same run."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from xseg.cli import EXIT_OK
from xseg.errors import unknown_name

STUDIES = {
    "predict": ("xseg.cli.benchmark.predict", "speed of prediction, compared with the bare model and SMP"),
    "systems": ("xseg.cli.benchmark.systems", "parameters and speed of the classifiers in the Xception paper"),
    "train_step": ("xseg.cli.benchmark.train_step", "time of a training step on the CPU, compared with SMP"),
}


def main(arguments: Sequence[str]) -> int:
    """Compare the speed of xseg with other libraries in the same run.

    Raises:
        XsegError: if an option is wrong.
    """
    study, *rest = [*arguments] or ["--help"]
    if study in ("-h", "--help"):
        rows = [f"  {name:<12} {summary}" for name, (_, summary) in STUDIES.items()]
        print("\n".join(["usage: xseg benchmark STUDY [options]", "", "studies:", *rows]))
        return EXIT_OK
    if study not in STUDIES:
        raise unknown_name("unknown study", study, STUDIES)
    status: int = importlib.import_module(STUDIES[study][0]).main(rest)
    return status
