"""Where a training leaves what. Imports no torch."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from xseg.errors import ConfigError

# the names that unfinished files and bundles have: see xseg.files.atomic and xseg.bundles.bundle
_FILE_BESIDE = re.compile(r"\.([0-9a-f]{12}(\.\w+)?|previous\.ckpt)")
_BUNDLE_BESIDE = re.compile(r"\.(best|epoch_\d+)-\w+")


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
        """Where the training stands, to resume from."""
        return self.path / "last.ckpt"

    @property
    def previous_checkpoint(self) -> Path:
        """The checkpoint before, for the case that the last one is torn."""
        return self.path / "previous.ckpt"

    @property
    def top(self) -> Path:
        """The bundles of the best few epochs, one folder each, if they were asked for."""
        return self.path / "top"

    @property
    def pictures(self) -> Path:
        """The same validation images after every epoch, as the model sees them."""
        return self.path / "pictures"

    @property
    def bad_batch(self) -> Path:
        """What was in the batch whose loss was no number, if there was one."""
        return self.path / "bad_batch.json"

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
            saved = self.last_checkpoint.is_file() or self.previous_checkpoint.is_file()
            resume_remedy = f"or add --resume {self.last_checkpoint} to resume, " if saved else ""
            raise ConfigError(
                f"output_dir={self.path} is not empty",
                expected="a new folder",
                remedy=f"name another, {resume_remedy}or add --overwrite to start anew",
            )
        if not self.config.is_file():
            raise ConfigError(
                f"output_dir={self.path} holds something else than a run (it has no {self.config.name})",
                expected="a run to overwrite",
                remedy="name another folder",
            )

    def clear(self) -> None:
        """Remove what an earlier training left, and nothing else."""
        self.sweep()
        for folder in (self.best, self.top, self.pictures, self.tensorboard):
            shutil.rmtree(folder, ignore_errors=True)
        files = (self.last_checkpoint, self.previous_checkpoint, self.metrics, self.environment, self.report)
        for file in (*files, self.bad_batch, self.config):
            file.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove what a training left that took no step, and the folder if nothing else is in it."""
        self.clear()
        with suppress(OSError):
            self.path.rmdir()

    def sweep(self) -> None:
        """Remove what a killed training had begun to write; a bundle that it was just replacing is put back."""
        for folder in (self.path, self.top, self.pictures):
            for beside in folder.glob(".*") if folder.is_dir() else ():
                bundle = _BUNDLE_BESIDE.fullmatch(beside.name)
                if bundle and (beside / "replaced").is_dir() and not (folder / bundle[1]).exists():
                    (beside / "replaced").replace(folder / bundle[1])
                if bundle:
                    shutil.rmtree(beside)
                elif _FILE_BESIDE.fullmatch(beside.name):
                    beside.unlink()
