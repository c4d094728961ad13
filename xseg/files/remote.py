"""List, download and upload files at URLs that fsspec supports, such as s3://bucket/photos.

Packages such as s3fs, gcsfs and adlfs add the protocols; their documentation explains the credentials. All functions
raise a ConfigError if the protocol of a URL is not installed, and a DataError if a request fails.
"""

from __future__ import annotations

import glob
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from xseg.errors import ConfigError, DataError
from xseg.files.atomic import atomic_path
from xseg.files.caches import user_cache

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::[A-Za-z0-9+.-]+)*://")  # two letters or more: C:// is a disk


def is_url(text: object) -> bool:
    """Return whether a text is a URL rather than a local path."""
    return isinstance(text, str) and _URL.match(text) is not None


def staging_folder() -> Path:
    """Return the local folder for files that are being downloaded or uploaded."""
    return user_cache("predict")


def join_url(url: str, name: str) -> str:
    """Return the URL of a name below another URL."""
    return f"{url.rstrip('/')}/{name}"


def is_folder(url: str) -> bool:
    """Return whether a URL is a folder, which in object storage is any common prefix of names."""
    with _access(url, "read") as (system, key):
        return bool(system.isdir(key))


def is_file(url: str) -> bool:
    """Return whether a URL is a file."""
    with _access(url, "read") as (system, key):
        return bool(system.isfile(key))


def files_below(url: str) -> list[str]:
    """Return the sorted paths of all files below a folder, relative to it; none if there is no such folder."""
    with _access(url, "listed") as (system, key):
        try:
            return sorted(_below(file, key) for file in system.find(key))
        except FileNotFoundError:
            return []


def files_matching(pattern: str) -> tuple[str, list[str]]:
    """Return the folder before the first wildcard of a glob, and the sorted names of matching files below it."""
    folder = pattern[: pattern.index(next(filter(glob.has_magic, pattern.split("/"))))].rstrip("/")
    with _access(pattern, "listed") as (system, key):
        found = system.glob(key, detail=True)
    start = _system(folder)[1]
    return folder, sorted(_below(file, start) for file, info in found.items() if info["type"] == "file")


def fetch(url: str, path: Path) -> Path:
    """Download a file, completely or not at all, and return its path.

    Raises:
        OSError: if the local file cannot be written.
    """
    with atomic_path(path) as temporary, _access(url, "read") as (system, key):
        system.get_file(key, str(temporary))
        if temporary.is_dir():  # some protocols create a folder for a folder
            temporary.rmdir()
            raise IsADirectoryError("it is a folder")
    return path


@contextmanager
def opened_url(url: str) -> Iterator[BinaryIO]:
    """Open a file to read parts of it."""
    with _access(url, "read") as (system, key), system.open(key, "rb") as file:
        yield file


def send(path: Path, url: str) -> None:
    """Upload a file to a URL; an older file is replaced."""
    from fsspec.implementations.local import LocalFileSystem

    with _access(url, "written") as (system, key):
        if isinstance(system, LocalFileSystem):  # object stores replace whole files by themselves
            with atomic_path(key) as temporary:
                shutil.copyfile(path, temporary)
        else:
            system.put_file(str(path), key)


def remove(url: str) -> None:
    """Remove a file if it exists."""
    with _access(url, "removed") as (system, key), suppress(FileNotFoundError):
        system.rm_file(key)


def _system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL and its path there."""
    import fsspec

    try:
        system, key = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        expected = "a URL with a protocol that fsspec supports and whose package is installed"
        raise ConfigError(f"{url}: {error}", expected=expected) from error
    system.invalidate_cache()  # another machine may have written since the last listing
    return system, key


def _below(file: str, folder: str) -> str:
    return file.removeprefix(folder.rstrip("/")).lstrip("/")


@contextmanager
def _access(url: str, what: str) -> Iterator[tuple[Any, str]]:
    """Yield the file system of a URL and its path there; an exception in the block becomes one line."""
    system, key = _system(url)
    try:
        yield system, key
    except Exception as error:  # each protocol's package has its own exceptions
        why = "no such file" if isinstance(error, FileNotFoundError) else str(error) or type(error).__name__
        raise DataError(f"{url} cannot be {what}: {why}") from error
