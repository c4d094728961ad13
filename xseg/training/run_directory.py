"""Where a training leaves what. Imports no torch."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from xseg.errors import ConfigError


@dataclass(frozen=True)
class RunDirectory:
    """The files of one training.

    Args:
        path: the folder that holds them.
    """

    path: Path

    @property
    def best(self) -> Path:
        """The bundle of the best epoch."""
        return self.path / "best"

    @property
    def last_checkpoint(self) -> Path:
        """The state after the last finished epoch, to resume from."""
        return self.path / "last.ckpt"

    @property
    def config(self) -> Path:
        """The resolved configuration, reusable as `--config`."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """One row per epoch."""
        return self.path / "metrics.csv"

    @property
    def environment(self) -> Path:
        """Versions, commit, hardware, seed and what data it was."""
        return self.path / "environment.json"

    @property
    def tensorboard(self) -> Path:
        """Logs for TensorBoard."""
        return self.path / "tensorboard"

    @property
    def report(self) -> Path:
        """The page with curves, tables and pictures."""
        return self.path / "report.html"

    def require_free(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a folder that holds something that a new training would mix with.

        Raises:
            ConfigError: if it is a file, or is not empty and neither `resume` nor `overwrite` says that this is meant;
                or if it is to be overwritten but is no run.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"output_dir={self.path} is a file", expected="a folder")
        if resume or not self.path.is_dir() or not any(self.path.iterdir()):
            return
        if not overwrite:
            raise ConfigError(
                f"output_dir={self.path} is not empty",
                expected="a new folder",
                remedy=f"name another, or add --resume {self.last_checkpoint} to go on, or --overwrite to start anew",
            )
        if not self.config.is_file():
            raise ConfigError(
                f"output_dir={self.path} holds something else than a run (it has no {self.config.name})",
                expected="a run to overwrite",
                remedy="name another folder",
            )

    def clear(self) -> None:
        """Remove what an earlier training left, and nothing else."""
        for folder in (self.best, self.tensorboard):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.last_checkpoint, self.metrics, self.environment, self.report, self.config):
            file.unlink(missing_ok=True)
