"""run.json: model and options of an output folder, which a resumed run must share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xseg.bundles.locate import FILES
from xseg.errors import ConfigError
from xseg.files.atomic import write_text
from xseg.inference.options import InferenceOptions
from xseg.predict.outputs.output import Output
from xseg.predict.outputs.registry import describe_outputs
from xseg.types import Precision
from xseg.version import __version__

MANIFEST = "run.json"


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
    """Write the description of a run, and return its path.

    Raises:
        OSError: if it cannot be written.
    """
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
