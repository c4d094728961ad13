"""Find weights by path, or by a name from the catalogue, which is downloaded."""

from __future__ import annotations

from pathlib import Path

from xseg.files.progress import NO_PROGRESS, ShowProgress
from xseg.types import PathArgument
from xseg.weights.catalogue.download import fetch_from_web
from xseg.weights.catalogue.entries import HubFile, find_entry, unknown
from xseg.weights.catalogue.hub import fetch_from_hub
from xseg.weights.formats.read import KINDS
from xseg.weights.formats.tensorflow import checkpoint_prefix


def locate(weights: PathArgument, *, encoder: str | None = None, show: ShowProgress = NO_PROGRESS) -> Path:
    """Return the path of weights.

    Args:
        weights: path, or name from the catalogue; a path takes precedence.
        encoder: encoder for the weights; None if the name is "ENCODER/NAME".
        show: progress display of a download.

    Raises:
        WeightsError: if it is neither, or the download fails.
    """
    path = Path(weights)
    if path.exists() or checkpoint_prefix(path) is not None:
        return path
    entry = find_entry(str(weights), encoder)
    if entry is None:
        raise unknown(str(weights), encoder, KINDS)
    if isinstance(entry.place, HubFile):
        return fetch_from_hub(entry.place)
    return fetch_from_web(entry.place, show=show)
