"""Checkpoints that appear whole or not at all, and the one before kept in case."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, cast

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from xseg.errors import DataError, WeightsError
from xseg.files.atomic import atomic_path
from xseg.training.checkpoints.first_classification import is_first_classification, upgraded

PREVIOUS = "previous.ckpt"
STATE_KEY = "xseg"  # of a checkpoint: what the model is, as plain values


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint beside its place, make sure that it is on the disk, and move it there.

    Lightning's own writes it to the system's temporary folder; where that is another disk, as it often is, moving it
    is copying it, and a training that is killed then loses the checkpoint that it was to resume from. The checkpoint
    that was there before is kept as previous.ckpt.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Save to a local file.

        Raises:
            DataError: if it cannot be written, for example because the disk is full; older checkpoints stay.
        """
        if storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        try:
            with atomic_path(path) as beside:
                _write(checkpoint, beside)
                _keep_previous(path)
            _flush_folder(path.parent)
        except OSError as error:
            older = [file.name for file in (path, path.with_name(PREVIOUS)) if file.is_file()]
            raise DataError(
                f"{path} cannot be written: {error.strerror or error}",
                expected="room for a checkpoint",
                remedy=f"make room and resume from {older[0] if older else 'the beginning'}, which is whole",
            ) from error

    def load_checkpoint(self, path: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Return a checkpoint, in the form of this version.

        Raises:
            WeightsError: if it is of an earlier form and lies without its run.
        """
        checkpoint: dict[str, Any] = super().load_checkpoint(path, *arguments, **options)
        return upgraded(checkpoint, Path(path).parent, STATE_KEY) if is_first_classification(checkpoint) else checkpoint


def _write(checkpoint: dict[str, Any], beside: Path) -> None:
    """Write a file and wait until the disk has it."""
    with _Reported(beside) as file:
        try:
            torch.save(checkpoint, cast("IO[bytes]", file))  # of a file, torch uses only write and flush
        except RuntimeError:
            if file.error is None:
                raise
        if file.error is not None:  # torch makes an error without a reason of it, or none
            raise file.error
        file.flush()
        os.fsync(file.fileno())


class _Reported:
    """A file that remembers the error of a write."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.error: OSError | None = None
        self.flush, self.fileno = self._file.flush, self._file.fileno

    def __enter__(self) -> _Reported:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> int:
        """Write bytes and return their number.

        Raises:
            OSError: if they cannot be written.
        """
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise


def _keep_previous(path: Path) -> None:
    """Give the checkpoint that is there a second name; at no time is there none."""
    if not path.is_file():
        return
    previous, link = path.with_name(PREVIOUS), path.with_name(f".{PREVIOUS}")
    try:
        link.unlink(missing_ok=True)
        os.link(path, link)
        link.replace(previous)
        link.unlink(missing_ok=True)  # where both were the same file already, replacing does nothing
    except OSError:  # a file system without links
        path.replace(previous)


def _flush_folder(folder: Path) -> None:
    """Make sure that a new name is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damage(path: Path) -> str | None:
    """Return what is wrong with a checkpoint's file; None if it is whole, to the last bit."""
    if not path.is_file():
        return "is not there"
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        return f"is no whole checkpoint ({error})"
    return None if broken is None else f"is damaged in {broken}"


def sound_checkpoint(path: Path) -> tuple[Path, str | None]:
    """Return the checkpoint to resume from.

    Args:
        path: a run's last checkpoint.

    Returns:
        The checkpoint, or the one before it if that is torn; and what was wrong with the first, None for nothing.

    Raises:
        WeightsError: if neither is whole.
    """
    wrong = damage(path)
    if wrong is None:
        return path, None
    previous = path.with_name(PREVIOUS)
    also = damage(previous)
    if also is None:
        return previous, f"{path} {wrong}; resuming from {previous.name} instead"
    raise WeightsError(f"checkpoint {path} {wrong}, and {previous.name} {also}", expected="the last.ckpt of a run")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint without executing anything in it; its tensors are read from the disk when they are used.

    Raises:
        WeightsError: if it is not one of a training of this project.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # what torch raises over a damaged or foreign file has no common class
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(f"checkpoint {path} cannot be read ({reason})", expected="the last.ckpt of a run") from error
    if isinstance(checkpoint, dict) and is_first_classification(checkpoint):
        return upgraded(checkpoint, path.parent, STATE_KEY)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get(STATE_KEY), dict):
        raise WeightsError(f"{path} is no checkpoint of xseg", expected="the last.ckpt of a run")
    return checkpoint
