"""Files of a run directory. Imports no torch."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from xseg.errors import ConfigError

# names of unfinished files and bundles: see xseg.files.atomic and xseg.bundles.bundle
_TEMPORARY_FILE = re.compile(r"\.([0-9a-f]{12}(\.\w+)?|previous\.ckpt)")
_TEMPORARY_BUNDLE = re.compile(r"\.(best|epoch_\d+)-\w+")


class RunDirectory:
    """The files of one training, in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "best"  # bundle of the best epoch
        self.last_checkpoint = path / "last.ckpt"  # to resume from
        self.previous_checkpoint = path / "previous.ckpt"  # in case the last one is damaged
        self.top = path / "top"  # bundles of the best few epochs, one folder each, if requested
        self.pictures = path / "pictures"  # pictures of the same validation images after every epoch
        self.bad_batch = path / "bad_batch.json"  # content of a batch with a NaN or infinite loss, if there was one
        self.config = path / "config.yaml"  # resolved configuration, reusable as `--config`
        self.metrics = path / "metrics.csv"  # table with one row per epoch
        self.environment = path / "environment.json"  # versions, commit, hardware, seed and data
        self.tensorboard = path / "tensorboard"  # logs for TensorBoard
        self.csv = path / "csv"  # logs of Lightning's CSVLogger, if requested
        self.report = path / "report.html"  # page with curves, tables and images

    def require_free(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a folder with files that a new training would mix with.

        Raises:
            ConfigError: if it is a file; if it is not empty, without `resume` or `overwrite`; or if it should be
                overwritten but is not a run.
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
                remedy=f"choose another, {resume_remedy}or add --overwrite to start again",
            )
        if not self.config.is_file():
            raise ConfigError(
                f"output_dir={self.path} holds other files than a run (it has no {self.config.name})",
                expected="a run to overwrite",
                remedy="choose another folder",
            )

    def clear(self) -> None:
        """Remove the files of an earlier training, and no others."""
        self.sweep()
        for folder in (self.best, self.top, self.pictures, self.tensorboard, self.csv):
            shutil.rmtree(folder, ignore_errors=True)
        files = (self.last_checkpoint, self.previous_checkpoint, self.metrics, self.environment, self.report)
        for file in (*files, self.bad_batch, self.config):
            file.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the files of a training without a completed step, and the folder if it is then empty."""
        self.clear()
        with suppress(OSError):
            self.path.rmdir()

    def sweep(self) -> None:
        """Remove unfinished files of a killed training, and restore a bundle that was being replaced."""
        for folder in (self.path, self.top, self.pictures):
            for leftover in folder.glob(".*") if folder.is_dir() else ():
                bundle = _TEMPORARY_BUNDLE.fullmatch(leftover.name)
                if bundle and (leftover / "replaced").is_dir() and not (folder / bundle[1]).exists():
                    (leftover / "replaced").replace(folder / bundle[1])
                if bundle:
                    shutil.rmtree(leftover)
                elif _TEMPORARY_FILE.fullmatch(leftover.name):
                    leftover.unlink()
