"""Earlier runs in an output folder, which are resumed, replaced or refused, but never mixed with another run."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from xseg.errors import ConfigError
from xseg.predict.manifest import MANIFEST, read_manifest
from xseg.predict.sources import Source
from xseg.predict.staging import OutputFolder
from xseg.predict.table import TABLE, PredictionRow, read_table

SOURCES, PLACES = "sources", "places"  # keys of a manifest beside those of `describe_run`


@dataclass(frozen=True)
class EarlierRun:
    """An earlier run in an output folder.

    Args:
        folder: output folder.
        manifest: manifest of the run; None if there was no run.
    """

    folder: OutputFolder
    manifest: Mapping[str, Any] | None

    @classmethod
    def find(cls, folder: OutputFolder) -> EarlierRun:
        """Read the manifest in a folder.

        Raises:
            ConfigError: if the manifest does not belong to a run.
        """
        folder.bring(folder.directory / MANIFEST)
        return cls(folder, read_manifest(folder.directory))

    def rows(self) -> list[PredictionRow]:
        """Return the rows of the run's table.

        Raises:
            DataError: if the table belongs to another program or is damaged.
        """
        table = self.folder.directory / TABLE
        self.folder.bring(table)
        return read_table(table) if table.is_file() else []

    def require_same(self, manifest: Mapping[str, Any], *, resume: bool) -> None:
        """Refuse another model, other options or, unless the run is resumed, other sources.

        Args:
            manifest: manifest of the new run.
            resume: whether the new run keeps finished outputs; it may then have more sources.

        Raises:
            ConfigError: if the runs differ.
        """
        for key, value in manifest.items():
            earlier = (self.manifest or {}).get(key)
            if earlier == value or key == PLACES or (key == SOURCES and resume):
                continue
            got, expected = (
                f"was made with {key}={earlier}, but this run has {key}={value}",
                "the same model and options",
            )
            if key == SOURCES:
                got, expected = "holds a run with other sources", "the same sources"
            raise ConfigError(f"{self.folder.place} {got}", expected=expected, remedy=_remedy(resume))

    def require_sources(self, rows: Sequence[PredictionRow], masks: Mapping[str, str]) -> None:
        """Refuse to resume a run whose masks would not all belong to the new run.

        Args:
            rows: rows of the run's table.
            masks: mask of each source in the new run, as in its row.

        Raises:
            ConfigError: if a source is missing, or its mask now has another name.
        """
        for row in rows:
            if row.status == "ok" and masks.get(row.path) != row.mask:
                known = f"is now called {masks[row.path]}" if row.path in masks else "is not among this run's sources"
                raise ConfigError(
                    f"{self.folder.place} holds {row.mask} of {row.path}, which {known}",
                    expected="the sources of the run to resume, or more of them in the same folders",
                    remedy=_remedy(resume=True),
                )

    def require_nothing(self, places: Iterable[str]) -> None:
        """Refuse a folder without a run that holds files which this run would overwrite.

        Raises:
            ConfigError: if there is such a file.
        """
        found = next((path for path in self._files(places) if not path.name.startswith(".")), None)
        if found is not None:
            raise ConfigError(
                f"{self.folder.at(found)} exists, and {self.folder.place} holds no run (it has no {MANIFEST})",
                expected="a new folder, or the folder of an earlier run",
                remedy="choose another folder",
            )

    def remove(self) -> None:
        """Remove all files of the run, its manifest last, and no others."""
        if self.manifest is None:
            return
        known = self.manifest.get(PLACES)
        names = [place for place in known if isinstance(place, str)] if isinstance(known, list) else []
        places = [name for name in names if PurePosixPath(name).name == name and not name.startswith(".")]
        for path in self._files([*places, TABLE]):
            self.folder.remove(path)
        for place in places:
            shutil.rmtree(self.folder.directory / place, ignore_errors=True)
        self.folder.remove(self.folder.directory / MANIFEST)

    def _files(self, places: Iterable[str]) -> list[Path]:
        """Return the files with the given names, or in the given folders, below the output folder."""
        listing = self.folder.listing()
        found: list[Path] = []
        for place in places:
            path = self.folder.directory / place
            if listing is not None:
                found += [file for file in listing if file == path or path in file.parents]
            elif path.is_dir():
                found += [file for file in path.rglob("*") if file.is_file()]
            elif path.exists():
                found.append(path)
        return found


def describe_sources(sources: Sequence[Source]) -> str:
    """Return a text that identifies the sources and the names of their outputs."""
    digest = hashlib.blake2b(digest_size=16)
    for source in sources:
        digest.update(f"{source.place}\n{source.name}\n{source.kind}\n".encode(errors="surrogateescape"))
    return f"{len(sources)}, {digest.hexdigest()}"


def _remedy(resume: bool) -> str:
    instead = "instead of --resume " if resume else ""
    return f"choose another folder, or add --overwrite {instead}to replace what it holds"
