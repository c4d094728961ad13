"""Where a run writes: a folder, or a URL by way of a folder of this machine from which files are sent on."""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from xseg.files.remote import fetch, files_below, is_file, is_url, join_url, remove, send, staging_folder

SEND_SECONDS = 30.0  # a table that grows is sent again after so long: object storage cannot append


@dataclass(frozen=True)
class OutputFolder:
    """A folder of outputs.

    Args:
        directory: where files are written.
        url: where they are sent when they are whole, and then removed here; None if they stay.
    """

    directory: Path
    url: str | None = None

    @classmethod
    def named(cls, output_dir: str) -> OutputFolder:
        """Return the folder that a user names, by path or URL.

        A URL's folder here has a name that follows from it, so that runs of one machine into one URL meet.
        """
        if not is_url(output_dir):
            return cls(Path(output_dir))
        digest = hashlib.blake2b(output_dir.rstrip("/").encode(), digest_size=8).hexdigest()
        return cls(staging_folder() / digest, output_dir)

    @property
    def place(self) -> str:
        """Where a user finds it."""
        return self.url or str(self.directory)

    def at(self, path: Path) -> str:
        """Return where a user finds a file or folder of it."""
        return join_url(self.url, self._name(path)) if self.url else str(path)

    def listing(self) -> frozenset[Path] | None:
        """Return what has been sent, files and their folders; None if everything is here.

        Raises:
            DataError: if the URL cannot be listed.
        """
        if self.url is None:
            return None
        files = [self.directory / name for name in files_below(self.url)]
        return frozenset(place for file in files for place in (file, *file.parents))

    def send(self, *paths: Path, keep: bool = False) -> None:
        """Send files, and folders with what is in them, and remove them here.

        Args:
            paths: below the folder; what is not there is left out.
            keep: do not remove them.

        Raises:
            DataError: if one cannot be written.
        """
        if self.url is None:
            return
        for path in paths:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    send(file, self.at(file))
                    if not keep:
                        file.unlink()

    def bring(self, path: Path) -> None:
        """Fetch a file that was sent, in place of the one that is here; none if there is none.

        Raises:
            DataError: if it is there and cannot be read.
        """
        if self.url is None:
            return
        path.unlink(missing_ok=True)
        if is_file(self.at(path)):
            fetch(self.at(path), path)

    def remove(self, path: Path) -> None:
        """Remove a file, here and where it was sent.

        Raises:
            DataError: if it cannot be removed.
        """
        path.unlink(missing_ok=True)
        if self.url is not None:
            remove(self.at(path))

    def clear(self) -> None:
        """Remove what is here and only waits to be sent."""
        if self.url is not None:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.directory).as_posix()


class Regularly:
    """Sends a file that grows, once in a while.

    Args:
        folder: that it is in.
        path: the file.
    """

    def __init__(self, folder: OutputFolder, path: Path) -> None:
        self._folder, self._path = folder, path
        self._last = time.monotonic()

    def send(self) -> None:
        """Send the file if that was long ago.

        Raises:
            DataError: if it cannot be written.
        """
        if time.monotonic() - self._last >= SEND_SECONDS:
            self._folder.send(self._path, keep=True)
            self._last = time.monotonic()
