"""Lock of an output folder for one run at a time."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from xseg.errors import ConfigError
from xseg.files.atomic import write_text
from xseg.predict.staging import OutputFolder

LOCK, OWNER = ".predict.lock", ".predict.json"


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
    lock = FileLock(folder.directory / LOCK, timeout=0)
    note = folder.directory / OWNER
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
