"""What `predict` leaves behind for an image: mask, overlay, probabilities, polygons."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xseg.files.atomic import atomic_path
from xseg.inference.options import OutputOptions
from xseg.inference.prediction import Failure, Prediction, save_image
from xseg.predict.outputs.polygons import write_polygons
from xseg.predict.sources import Source
from xseg.predict.staging import OutputFolder
from xseg.predict.table import Row

MASKS, OVERLAYS, PROBABILITIES, POLYGONS = "masks", "overlays", "probabilities", "polygons"


@dataclass(frozen=True)
class PredictionWriter:
    """Writes predictions below a folder; safe to call from threads.

    Args:
        directory: masks go to masks/NAME.png, overlays to overlays/NAME.jpg, probabilities to probabilities/NAME.npz
            (float16 under the key "probabilities", (classes, H, W)), polygons to polygons/NAME.geojson.
        options: what is wanted beside the masks.
        url: where files are sent when all of an image are whole; None if they stay.
    """

    directory: Path
    options: OutputOptions = field(default_factory=OutputOptions)
    url: str | None = None

    @property
    def folder(self) -> OutputFolder:
        """The folder that is written to, which knows its URL."""
        return OutputFolder(self.directory, self.url)

    def write(self, source: Source, result: Prediction | Failure) -> Row:
        """Write one result and return its row of the table.

        Raises:
            OSError: if a file cannot be written.
            DataError: if one cannot be sent.
        """
        if isinstance(result, Failure):
            return failed_row(source, result)
        if self.options.overlay:
            save_image(result.overlay(), self.file(OVERLAYS, source, ".jpg"))
        if self.options.probabilities and result.probabilities is not None:
            with atomic_path(self.file(PROBABILITIES, source, ".npz")) as beside:
                np.savez_compressed(beside, probabilities=result.probabilities.astype(np.float16))
        if self.options.polygons:
            path = self.file(POLYGONS, source, ".geojson")
            write_polygons(result.mask, path, result.labels, tolerance=self.options.tolerance)
        mask = result.save(self.file(MASKS, source, ".png"))
        self.folder.send(*self.files(source))
        height, width = result.mask.shape
        return self.row(source, height, width, result.seconds, result.pixels, mask)

    def row(
        self, source: Source, height: int, width: int, seconds: float, pixels: Mapping[str, int], mask: Path
    ) -> Row:
        """Return the row of what was written.

        Args:
            source: what it was written of.
            height: of the image.
            width: of the image.
            seconds: time spent on it.
            pixels: number of pixels per class name.
            mask: its file or folder.
        """
        present = {name: count for name, count in pixels.items() if count}
        return Row(
            path=source.place,
            status="ok",
            width=width,
            height=height,
            seconds=round(seconds, 4),
            pixels=json.dumps(present, ensure_ascii=False),
            mask=mask.relative_to(self.directory).as_posix(),
        )

    def files(self, source: Source) -> list[Path]:
        """Return the files and folders that are there when a source is done."""
        if source.kind in ("video", "camera"):
            return [self.directory / MASKS / source.name, self.file(OVERLAYS, source, ".mp4")]
        raster = source.kind == "raster"
        files = [self.file(MASKS, source, ".tif" if raster else ".png")]
        if self.options.overlay:
            files.append(self.file(OVERLAYS, source, ".jpg"))
        if self.options.probabilities:
            files.append(self.file(PROBABILITIES, source, ".tif" if raster else ".npz"))
        if self.options.polygons:
            files.append(self.file(POLYGONS, source, ".geojson"))
        return files

    def file(self, folder: str, source: Source, suffix: str) -> Path:
        """Return the file that a kind of output of a source goes to."""
        # Not with_suffix: a name may hold a dot of its own, and "a.b" is not "a".
        return self.directory / folder / f"{source.name}{suffix}"


def failed_row(source: Source, failure: Failure) -> Row:
    """Return the row of an input that failed, with its name in the error."""
    error = str(failure.error)
    known = error.replace(str(failure.path), source.place) if source.url else error
    named = known if source.place in known else f"{source.place}: {known}"
    return Row(path=source.place, status="failed", error=named)
