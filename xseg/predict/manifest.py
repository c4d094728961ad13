"""Manifest of an output folder, run.json, and earlier runs, which are resumed, replaced or refused, but never mixed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from xseg.bundles.locate import FILES
from xseg.errors import ConfigError
from xseg.files.atomic import write_text
from xseg.inference.options import InferenceOptions
from xseg.predict.outputs.output import Output
from xseg.predict.outputs.registry import describe_outputs
from xseg.predict.sources import Source
from xseg.predict.staging import OutputFolder
from xseg.predict.table import TABLE, PredictionRow, read_table
from xseg.types import Precision
from xseg.version import __version__

MANIFEST = "run.json"
SOURCES, PLACES = "sources", "places"  # keys of a manifest beside those of `describe_run`


def bundle_digest(path: Path) -> str:
    """Return a digest of the two files of a bundle, or of an exported file."""
    digest = hashlib.blake2b(digest_size=16)
    parts = [path / name for name in FILES] if path.is_dir() else sorted({path, *path.parent.glob(f"{path.stem}.bin")})
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def describe_run(
    digest: str,
    options: InferenceOptions,
    outputs: Sequence[Output] = (),
    *,
    device: str,
    backend: str,
    precision: Precision,
) -> dict[str, Any]:
    """Return the description of a run, as values that JSON can hold.

    Device, backend and precision are the actual ones, even if the options have "auto"; `digest` is that of the bundle.
    """
    settled = {"device": device, "backend": backend, "precision": precision}
    settings = describe_outputs(outputs) | asdict(options) | settled
    return {"xseg_version": __version__, "model": digest, **json.loads(json.dumps(settings, default=str))}


def write_manifest(description: dict[str, Any], directory: Path) -> Path:
    """Write the description of a run, and return its path; OSError if it cannot be written."""
    return write_text(directory / MANIFEST, json.dumps(description, indent=2) + "\n")


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """Return the description of the run in a folder; None if there was no run.

    Raises:
        ConfigError: if the file cannot be read, or belongs to another program.
    """
    path = directory / MANIFEST
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", remedy="remove it, or choose another folder") from error
    if not isinstance(values, dict) or "xseg_version" not in values:
        raise ConfigError(f"{path} does not describe a run of xseg", remedy="choose another folder")
    return values


@dataclass(frozen=True)
class EarlierRun:
    """An earlier run in an output folder; without manifest, there was none.

    The methods `require_…` raise ConfigError if the new run does not fit it.
    """

    folder: OutputFolder
    manifest: Mapping[str, Any] | None

    @classmethod
    def find(cls, folder: OutputFolder) -> EarlierRun:
        """Read the manifest in a folder; ConfigError if it does not belong to a run."""
        folder.bring(folder.directory / MANIFEST)
        return cls(folder, read_manifest(folder.directory))

    def rows(self) -> list[PredictionRow]:
        """Return the rows of the run's table; errors as in `read_table`."""
        table = self.folder.directory / TABLE
        self.folder.bring(table)
        return read_table(table) if table.is_file() else []

    def require_same(self, manifest: Mapping[str, Any], *, resume: bool) -> None:
        """Refuse a run with another model, other options or, unless it resumes this one, other sources."""
        for key, value in manifest.items():
            earlier = (self.manifest or {}).get(key)
            if earlier == value or key == PLACES or (key == SOURCES and resume):
                continue
            got, expected = "holds a run with other sources", "the same sources"
            if key != SOURCES:
                got = f"was made with {key}={earlier}, but this run has {key}={value}"
                expected = "the same model and options"
            raise ConfigError(f"{self.folder.place} {got}", expected=expected, remedy=_remedy(resume))

    def require_sources(self, rows: Sequence[PredictionRow], masks: Mapping[str, str]) -> None:
        """Refuse rows of the run's table whose source is missing, or has another mask among those of the new run."""
        for row in rows:
            if row.status == "ok" and masks.get(row.path) != row.mask:
                known = f"is now called {masks[row.path]}" if row.path in masks else "is not among this run's sources"
                raise ConfigError(
                    f"{self.folder.place} holds {row.mask} of {row.path}, which {known}",
                    expected="the sources of the run to resume, or more of them in the same folders",
                    remedy=_remedy(resume=True),
                )

    def require_nothing(self, places: Iterable[str]) -> None:
        """Refuse a folder without a run that holds files which this run would overwrite."""
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
    text = "".join(f"{source.place}\n{source.name}\n{source.kind}\n" for source in sources)
    digest = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()
    return f"{len(sources)}, {digest}"


def _remedy(resume: bool) -> str:
    instead = "instead of --resume " if resume else ""
    return f"choose another folder, or add --overwrite {instead}to replace what it holds"
