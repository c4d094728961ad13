"""Output folder of a run: a local folder, or a URL to which files are uploaded from a local folder; and its lock."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from xseg.errors import ConfigError
from xseg.files.atomic import write_text
from xseg.files.remote import fetch, files_below, is_file, is_url, join_url, remove, send, staging_folder

LOCK, OWNER = ".predict.lock", ".predict.json"


@dataclass(frozen=True)
class OutputFolder:
    """A folder of outputs, local or at a URL, to which complete files are uploaded, and then removed locally.

    Its methods raise DataError if a file at the URL cannot be read, written, listed or removed.
    """

    directory: Path
    url: str | None = None

    @classmethod
    def named(cls, output_dir: str) -> OutputFolder:
        """Return the output folder for a path or URL.

        The name of the local folder is derived from the URL, so that runs of one machine for one URL share it.
        """
        if not is_url(output_dir):
            return cls(Path(output_dir))
        digest = hashlib.blake2b(output_dir.rstrip("/").encode(), digest_size=8).hexdigest()
        return cls(staging_folder() / digest, output_dir)

    @property
    def place(self) -> str:
        """Path or URL of the folder for the user."""
        return self.url or str(self.directory)

    def at(self, path: Path) -> str:
        """Return the path or URL of a file or folder for the user."""
        return join_url(self.url, path.relative_to(self.directory).as_posix()) if self.url else str(path)

    def listing(self) -> frozenset[Path] | None:
        """Return the uploaded files and their folders; None for a local folder."""
        if self.url is None:
            return None
        files = [self.directory / name for name in files_below(self.url)]
        return frozenset(place for file in files for place in (file, *file.parents))

    def send(self, *paths: Path, keep: bool = False) -> None:
        """Upload files, and folders with their content; missing ones are ignored, local ones removed unless kept."""
        if self.url is None:
            return
        for path in paths:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    send(file, self.at(file))
                    if not keep:
                        file.unlink()

    def bring(self, path: Path) -> None:
        """Replace the local file by the uploaded one; remove it if there is none."""
        if self.url is None:
            return
        path.unlink(missing_ok=True)
        if is_file(self.at(path)):
            fetch(self.at(path), path)

    def remove(self, path: Path) -> None:
        """Remove a file, locally and at the URL."""
        path.unlink(missing_ok=True)
        if self.url is not None:
            remove(self.at(path))

    def clear(self) -> None:
        """Remove local files that wait for upload."""
        if self.url is not None:
            shutil.rmtree(self.directory, ignore_errors=True)


@contextmanager
def exclusive(folder: OutputFolder) -> Iterator[None]:
    """Lock a folder for the duration of the context; at its end, local files for a URL are removed.

    The lock belongs to the operating system, so that it ends with its process. A note beside it names the owner, also
    for runs on other machines if the file system does not share locks; a URL has only the note.

    Raises:
        ConfigError: if another run holds the lock.
        DataError: if the URL cannot be written to.
        OSError: if the folder cannot be written to.
    """
    folder.directory.mkdir(parents=True, exist_ok=True)
    lock, note = FileLock(folder.directory / LOCK, timeout=0), folder.directory / OWNER
    try:
        lock.acquire()
    except Timeout as error:
        raise _held(folder.place, _owner(note), remedy="wait for it, or choose another output folder") from error
    try:
        folder.bring(note)
        owner = _owner(note)
        if owner and owner.get("host") != socket.gethostname():
            raise _held(folder.place, owner, remedy=f"if it no longer runs, remove {folder.at(note)}")
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        write_text(note, json.dumps({"host": socket.gethostname(), "pid": str(os.getpid()), "started": started}))
        folder.send(note, keep=True)
        try:
            yield
        finally:
            folder.remove(note)
    finally:
        folder.clear()
        lock.release()


def _owner(note: Path) -> dict[str, str]:
    """Return the owner of the folder; {} if there is no note."""
    try:
        owner = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in owner.items()} if isinstance(owner, dict) else {}


def _held(place: str, owner: dict[str, str], *, remedy: str) -> ConfigError:
    who = f"process {owner.get('pid', '?')} on {owner.get('host', '?')} since {owner.get('started', '?')}"
    return ConfigError(f"{place} is in use by another run ({who})", expected="one run at a time", remedy=remedy)
