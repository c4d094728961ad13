"""Files at the URLs that fsspec knows, such as s3://bucket/photos: listed, fetched and sent.

fsspec's own packages (s3fs, gcsfs, adlfs, …) bring the protocols, and find credentials as their documentations say.
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
    """Tell whether a text is a URL rather than a path of this machine."""
    return isinstance(text, str) and _URL.match(text) is not None


def waiting_room() -> Path:
    """Return the folder of this machine in which files of URLs wait, which are on their way."""
    return user_cache("predict")


def join_url(url: str, name: str) -> str:
    """Return the URL of a file below another."""
    return f"{url.rstrip('/')}/{name}"


def is_folder(url: str) -> bool:
    """Tell whether a URL is a folder, which in object storage is any common beginning of names.

    Raises:
        ConfigError: if its protocol is not installed.
        DataError: if it cannot be asked.
    """
    system, key = _system(url)
    with _told(url, "read"):
        return bool(system.isdir(key))


def is_file(url: str) -> bool:
    """Tell whether there is a file at a URL.

    Raises:
        ConfigError: if its protocol is not installed.
        DataError: if it cannot be asked.
    """
    system, key = _system(url)
    with _told(url, "read"):
        return bool(system.isfile(key))


def files_below(url: str) -> list[str]:
    """Return the names of all files below a folder, as paths relative to it, sorted; none if there is no such folder.

    Raises:
        ConfigError: if its protocol is not installed.
        DataError: if it cannot be listed.
    """
    system, key = _system(url)
    with _told(url, "listed"):
        try:
            return sorted(_below(file, key) for file in system.find(key))
        except FileNotFoundError:
            return []


def files_matching(pattern: str) -> tuple[str, list[str]]:
    """Return the folder before a glob's first wildcard, and the names below it of the files that match, sorted.

    Raises:
        ConfigError: if its protocol is not installed.
        DataError: if it cannot be listed.
    """
    folder = pattern[: pattern.index(next(filter(glob.has_magic, pattern.split("/"))))].rstrip("/")
    system, key = _system(pattern)
    with _told(pattern, "listed"):
        found = system.glob(key, detail=True)
    start = _system(folder)[1]
    return folder, sorted(_below(file, start) for file, facts in found.items() if facts["type"] == "file")


def fetch(url: str, path: Path) -> Path:
    """Copy a file to this machine, whole or not at all, and return its path.

    Raises:
        ConfigError: if its protocol is not installed.
        DataError: if it cannot be read.
        OSError: if it cannot be written here.
    """
    system, key = _system(url)
    with atomic_path(path) as beside, _told(url, "read"):
        system.get_file(key, str(beside))
        if beside.is_dir():  # some protocols make a folder of a folder
            beside.rmdir()
            raise IsADirectoryError("it is a folder")
    return path


@contextmanager
def opened_url(url: str) -> Iterator[BinaryIO]:
    """Open a file for reading parts of it.

    Raises:
        ConfigError: if its protocol is not installed.
        DataError: if it cannot be read.
    """
    system, key = _system(url)
    with _told(url, "read"), system.open(key, "rb") as file:
        yield file


def send(path: Path, url: str) -> None:
    """Copy a file of this machine to a URL; an older one is replaced.

    Raises:
        ConfigError: if its protocol is not installed.
        DataError: if it cannot be written.
    """
    from fsspec.implementations.local import LocalFileSystem

    system, key = _system(url)
    with _told(url, "written"):
        if isinstance(system, LocalFileSystem):  # object stores replace whole files by themselves
            with atomic_path(key) as beside:
                shutil.copyfile(path, beside)
        else:
            system.put_file(str(path), key)


def remove(url: str) -> None:
    """Remove a file, if it is there.

    Raises:
        ConfigError: if its protocol is not installed.
        DataError: if it cannot be removed.
    """
    system, key = _system(url)
    with _told(url, "removed"), suppress(FileNotFoundError):
        system.rm_file(key)


def _system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL and its path there."""
    import fsspec

    try:
        system, key = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"{url}: {error}", expected="a URL of a protocol that fsspec knows and whose package is installed"
        ) from error
    system.invalidate_cache()  # listings are for now: another machine may have written since
    return system, key


def _below(file: str, folder: str) -> str:
    return file.removeprefix(folder.rstrip("/")).lstrip("/")


@contextmanager
def _told(url: str, what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # every protocol's package has errors of its own
        why = "there is no such file" if isinstance(error, FileNotFoundError) else str(error) or type(error).__name__
        raise DataError(f"{url} cannot be {what}: {why}") from error
