"""Checkpoints written completely or not at all, with the previous one kept."""

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
STATE_KEY = "xseg"  # key of the model description in a checkpoint


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file beside it, flushes it to the disk, and renames it.

    Lightning writes to the system's temporary folder, often on another disk, so that a move becomes a copy, and a kill
    during the copy destroys the checkpoint. The previous checkpoint is kept as previous.ckpt.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Save to a local file.

        Raises:
            DataError: if it cannot be written, for example because the disk is full; older checkpoints are kept.
        """
        if storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        try:
            with atomic_path(path) as temporary:
                _write(checkpoint, temporary)
                _keep_previous(path)
            _flush_folder(path.parent)
        except OSError as error:
            older = [file.name for file in (path, path.with_name(PREVIOUS)) if file.is_file()]
            raise DataError(
                f"{path} cannot be written: {error.strerror or error}",
                expected="enough disk space for a checkpoint",
                remedy=f"free disk space and resume from {older[0]}" if older else "free disk space and start again",
            ) from error

    def load_checkpoint(self, path: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Return a checkpoint in the current format.

        Raises:
            WeightsError: if it has an earlier format and is not in its run directory.
        """
        checkpoint: dict[str, Any] = super().load_checkpoint(path, *arguments, **options)
        return upgraded(checkpoint, Path(path).parent, STATE_KEY) if is_first_classification(checkpoint) else checkpoint


def _write(checkpoint: dict[str, Any], temporary: Path) -> None:
    """Write a file and flush it to the disk."""
    with _Reported(temporary) as file:
        try:
            torch.save(checkpoint, cast("IO[bytes]", file))  # torch uses only write and flush
        except RuntimeError:
            if file.error is None:
                raise
        if file.error is not None:  # torch raises an error without reason, or none
            raise file.error
        file.flush()
        os.fsync(file.fileno())


class _Reported:
    """A file that stores the error of a failed write."""

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
    """Link the existing checkpoint as the previous one, without a moment without a checkpoint."""
    if not path.is_file():
        return
    previous, link = path.with_name(PREVIOUS), path.with_name(f".{PREVIOUS}")
    try:
        link.unlink(missing_ok=True)
        os.link(path, link)
        link.replace(previous)
        link.unlink(missing_ok=True)  # if both were the same file, replacing did nothing
    except OSError:  # a file system without links
        path.replace(previous)


def _flush_folder(folder: Path) -> None:
    """Flush a new name to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damage(path: Path) -> str | None:
    """Return the fault of a checkpoint file; None if its checksums are correct."""
    if not path.is_file():
        return "does not exist"
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        return f"is not a complete checkpoint ({error})"
    return None if broken is None else f"is damaged in {broken}"


def sound_checkpoint(path: Path) -> tuple[Path, str | None]:
    """Return the checkpoint to resume from.

    Args:
        path: path of the last checkpoint of a run.

    Returns:
        Path of the checkpoint, or of the previous one if it is damaged; and a message about the damage, None without.

    Raises:
        WeightsError: if both are damaged.
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
    """Return a checkpoint without executing anything in it; tensors are read from the disk when they are used.

    Raises:
        WeightsError: if it was not written by xseg.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch's exceptions for damaged or other files have no common class
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(f"checkpoint {path} cannot be read ({reason})", expected="the last.ckpt of a run") from error
    if isinstance(checkpoint, dict) and is_first_classification(checkpoint):
        return upgraded(checkpoint, path.parent, STATE_KEY)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get(STATE_KEY), dict):
        raise WeightsError(f"{path} is not a checkpoint of xseg", expected="the last.ckpt of a run")
    return checkpoint
