"""Find models: run directories, the demo's folder, bundle directories, Hugging Face Hub ids and their ensembles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from xseg.bundles.bundle import CONFIG_FILE, WEIGHTS_FILE, bundle_task, is_bundle
from xseg.errors import WeightsError
from xseg.types import PathArgument
from xseg.weights.catalogue.hub import fetch_files

FILES = (CONFIG_FILE, WEIGHTS_FILE)
FOLDS_FILE, CROSSVAL_FILE = "folds.csv", "crossval.csv"  # the second one is the last that a cross-validation writes
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_KINDS = "a run directory (with best/), a bundle directory (config.json and model.safetensors) or a Hub id owner/name"


def members_of(source: PathArgument | Sequence[PathArgument]) -> tuple[PathArgument, ...]:
    """Return the models of a source: of a list, of "A,B,C" or of the folder of a cross-validation; else itself.

    Raises:
        WeightsError: if there is no model, or a cross-validation is not finished.
    """
    if not isinstance(source, str | PathLike):
        members = tuple(member for one in source for member in members_of(one))
        if not members or "" in members:
            raise WeightsError(f"an ensemble of {list(map(str, source))}", expected="at least one model, none empty")
        return members
    path = Path(source)
    if (path / FOLDS_FILE).is_file():
        if not (path / CROSSVAL_FILE).is_file():
            got = f"{path} is a cross-validation without {CROSSVAL_FILE}"
            raise WeightsError(got, expected="a finished one", remedy="run xseg crossval again to resume it")
        return tuple(sorted(path.glob("fold-*/"), key=lambda fold: int(fold.name.removeprefix("fold-"))))
    if "," in str(source) and not path.exists():
        return members_of(str(source).split(","))
    return (source,)


def locate_run(source: PathArgument) -> Path | None:
    """Return the run directory: `source` itself, or the run in the demo's folder; None for other models."""
    return next((run for run in (Path(source), Path(source, "run")) if (run / "best").is_dir()), None)


def locate_classifier(source: PathArgument) -> Path | None:
    """Return the directory of the classifier in `source`: a run, a bundle or its weights; None if there is none."""
    path = Path(source)
    folders = (path / "best", path) if path.is_dir() else (path.parent,) if path.name == WEIGHTS_FILE else ()
    return next((folder for folder in folders if bundle_task(folder) == "classification"), None)


def locate_bundle(source: PathArgument) -> Path:
    """Return the directory of a bundle.

    Args:
        source: run directory or the demo's folder, for the best epoch; bundle directory; or Hub id "owner/name", from
            which the bundle's two files are downloaded unless they are cached.

    Returns:
        The directory of the bundle.

    Raises:
        WeightsError: if there is no bundle.
    """
    path = Path(source)
    for candidate in ((locate_run(path) or path) / "best", path):
        if is_bundle(candidate):
            return candidate
    if path.is_dir():
        missing = ", ".join(name for name in FILES if not (path / name).is_file())
        got = f"{path} has no best/ and no {missing}"
        raise WeightsError(got, expected=_KINDS, remedy="the training may not have saved an epoch yet")
    if path.exists():
        got = f"{path} is a file"
        raise WeightsError(got, expected=_KINDS, remedy="use xseg convert to make a bundle from weights")
    # A mistyped "runs/camvit" looks like a Hub id; if its first part is a local folder, it is not one.
    if _HUB_ID.fullmatch(str(source)) and not path.parent.is_dir():
        return _download(str(source))
    raise WeightsError(f"{source} does not exist", expected=_KINDS)


def _download(hub_id: str) -> Path:
    """Download the two files of a bundle unless they are cached, and return their directory."""
    try:
        directory = fetch_files(hub_id, FILES)
    except WeightsError as error:
        got = f"{hub_id} is not a local directory; {error.got}"
        raise WeightsError(got, expected=_KINDS, remedy=error.remedy) from error
    return require_bundle(directory, hub_id)


def require_bundle(directory: Path, hub_id: str) -> Path:
    """Return the directory of files downloaded from the Hub.

    Raises:
        WeightsError: if it is not a bundle.
    """
    if not is_bundle(directory):
        raise WeightsError(f"{hub_id} on the Hugging Face Hub lacks {' or '.join(FILES)}", expected="a bundle of xseg")
    return directory
