"""What `predict` leaves behind: masks, overlays, probabilities, and a table of what became of every input."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xseg.inference.atomic import atomic_path, write_text
from xseg.inference.prediction import Failure, Prediction, save_image
from xseg.inference.sources import Source
from xseg.types import PathArgument


@dataclass(frozen=True)
class Row:
    """One line of predictions.csv.

    Args:
        path: the input, as the user named it.
        status: "ok" or "failed".
        width: of the image in pixels; empty if it failed, as for all that follow.
        height: of the image in pixels.
        seconds: time spent on reading and predicting.
        pixels: JSON, number of pixels per class that is in the mask.
        mask: the mask's file, relative to the output folder.
        error: what was wrong.
    """

    path: str
    status: str
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    pixels: str = ""
    mask: str = ""
    error: str = ""


@dataclass(frozen=True)
class PredictionWriter:
    """Writes predictions below a folder; safe to call from threads.

    Args:
        directory: masks go to masks/NAME.png, overlays to overlays/NAME.jpg, probabilities to probabilities/NAME.npz.
        overlay: write overlays.
        probabilities: write probabilities, float16 under the key "probabilities", (classes, H, W).
    """

    directory: Path
    overlay: bool = False
    probabilities: bool = False

    def write(self, source: Source, result: Prediction | Failure) -> Row:
        """Write one result and return its row of the table.

        Raises:
            OSError: if a file cannot be written.
        """
        if isinstance(result, Failure):
            return Row(path=str(source.path), status="failed", error=_named(result))
        mask = result.save(self._file("masks", source.name, ".png"))
        if self.overlay:
            save_image(result.overlay(), self._file("overlays", source.name, ".jpg"))
        if self.probabilities and result.probabilities is not None:
            self._write_probabilities(source.name, result.probabilities)
        height, width = result.mask.shape
        return Row(
            path=str(source.path),
            status="ok",
            width=width,
            height=height,
            seconds=round(result.seconds, 4),
            pixels=json.dumps({name: count for name, count in result.pixels.items() if count}, ensure_ascii=False),
            mask=mask.relative_to(self.directory).as_posix(),
        )

    def _write_probabilities(self, name: str, probabilities: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
        with atomic_path(self._file("probabilities", name, ".npz")) as beside:
            np.savez_compressed(beside, probabilities=probabilities.astype(np.float16))

    def _file(self, folder: str, name: str, suffix: str) -> Path:
        # Not with_suffix: a name may hold a dot of its own, and "a.b" is not "a".
        return self.directory / folder / f"{name}{suffix}"


def _named(failure: Failure) -> str:
    """Return what was wrong, with the file's name."""
    error = str(failure.error)
    return error if str(failure.path) in error else f"{failure.path}: {error}"


def write_table(rows: Iterable[Row], path: PathArgument) -> Path:
    """Write predictions.csv, whole or not at all, and return its path.

    Raises:
        OSError: if the file cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    fields = list(Row.__dataclass_fields__)
    table.writerow(fields)
    table.writerows([getattr(row, field) for field in fields] for row in rows)
    return write_text(path, text.getvalue())
