"""Output folder of a run: a local folder, or a URL to which files are uploaded from a local folder."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from xseg.files.remote import fetch, files_below, is_file, is_url, join_url, remove, send, staging_folder


@dataclass(frozen=True)
class OutputFolder:
    """A folder of outputs.

    Args:
        directory: local folder for the files.
        url: URL to which complete files are uploaded, and then removed locally; None for a local folder.
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
        """Return the uploaded files and their folders; None for a local folder.

        Raises:
            DataError: if the URL cannot be listed.
        """
        if self.url is None:
            return None
        files = [self.directory / name for name in files_below(self.url)]
        return frozenset(place for file in files for place in (file, *file.parents))

    def send(self, *paths: Path, keep: bool = False) -> None:
        """Upload files, and folders with their content, and remove them locally.

        Args:
            paths: paths below the folder; missing ones are ignored.
            keep: whether to keep the local files.

        Raises:
            DataError: if a file cannot be written.
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
        """Replace the local file by the uploaded one; remove it if there is none.

        Raises:
            DataError: if the uploaded file cannot be read.
        """
        if self.url is None:
            return
        path.unlink(missing_ok=True)
        if is_file(self.at(path)):
            fetch(self.at(path), path)

    def remove(self, path: Path) -> None:
        """Remove a file, locally and at the URL.

        Raises:
            DataError: if it cannot be removed.
        """
        path.unlink(missing_ok=True)
        if self.url is not None:
            remove(self.at(path))

    def clear(self) -> None:
        """Remove local files that wait for upload."""
        if self.url is not None:
            shutil.rmtree(self.directory, ignore_errors=True)
