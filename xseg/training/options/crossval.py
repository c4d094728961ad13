"""Options of a cross-validation; the docstring is the help. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xseg.errors import ConfigError


@dataclass(frozen=True)
class CrossvalOptions:
    """Options of a cross-validation.

    Args:
        folds: number of folds, 2 or more.
        jobs: number of folds that are trained at once and share the cores; with Ray, of each machine.
        output_dir: folder for the folds' runs, folds.csv, the scores and a report.
        resume: auto to resume the cross-validation in output_dir, if there is one; finished folds are kept.
        overwrite: whether to replace an older cross-validation in output_dir.

    Raises:
        ConfigError: if a value is out of range.
    """

    folds: int = 5
    jobs: int = 1
    output_dir: str = "runs/crossval"
    resume: Literal["auto"] | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.folds < 2 or self.jobs < 1:
            raise ConfigError(f"folds={self.folds}, jobs={self.jobs}", expected="2 folds and 1 job, or more")
        if self.resume and self.overwrite:
            raise ConfigError("both resume and overwrite", expected="one of them")
