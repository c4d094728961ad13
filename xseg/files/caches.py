"""Caches for files that the package can create again."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path


def user_cache(kind: str) -> Path:
    """Return the cache folder for a kind of files, in `XSEG_CACHE` or in the user's cache."""
    chosen = os.environ.get("XSEG_CACHE")
    root = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "xseg"
    return root / kind


def remove_least_recent(folder: Path, size_limit: int, *, keep: Path) -> None:
    """Remove the least recently changed entries of a cache except `keep` until the rest is within a limit in bytes.

    An entry is a folder in the cache folder; hidden entries are ignored.
    """
    sizes: dict[Path, int] = {}
    changed: dict[Path, float] = {}
    for entry in folder.glob("[!.]*/"):
        with suppress(OSError):  # another process may be removing it
            sizes[entry] = sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())
            changed[entry] = entry.stat().st_mtime
    excess = sum(sizes.values()) - size_limit
    for entry in sorted(changed, key=changed.__getitem__):
        if excess <= 0:
            return
        if entry != keep:
            shutil.rmtree(entry, ignore_errors=True)
            excess -= sizes[entry]
