"""A whole run of `predict`: every source to its files and its row, survivable and resumable."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from xseg.errors import DataError, XsegError
from xseg.files.atomic import TEMPORARY
from xseg.files.progress import Progress, ShowProgress
from xseg.files.remote import fetch
from xseg.inference.options import OutputOptions
from xseg.inference.pipeline import Computed, Decoded, Request, run_pipeline
from xseg.inference.prediction import Failure, save_image
from xseg.inference.predictor import Predictor
from xseg.predict.lock import exclusive
from xseg.predict.manifest import MANIFEST, check_manifest, write_manifest
from xseg.predict.outputs.coco import CocoImage, coco_annotations, write_coco
from xseg.predict.outputs.images import MASKS, OVERLAYS, POLYGONS, PROBABILITIES, PredictionWriter, failed_row
from xseg.predict.outputs.polygons import write_polygons
from xseg.predict.raster import RasterOptions, predict_raster, raster_overlay
from xseg.predict.sources import Source, forget
from xseg.predict.staging import OutputFolder, Regularly
from xseg.predict.table import TABLE, Row, TableWriter, growing_table, read_table
from xseg.predict.video import predict_video

ImageEngine: TypeAlias = "Callable[[Job, Sequence[Request]], Iterator[Row]]"


@dataclass(frozen=True)
class Job:
    """What a run does.

    Args:
        predictor: predicts.
        sources: what to predict on, with names of their own.
        output: where to, and what is written.
        description: what the run is made with; see `describe_run`.
        show: shows progress.
    """

    predictor: Predictor
    sources: Sequence[Source]
    output: OutputOptions
    description: dict[str, Any]
    show: ShowProgress

    @property
    def folder(self) -> OutputFolder:
        """The output folder."""
        return OutputFolder.named(self.output.output_dir)

    @property
    def directory(self) -> Path:
        """Where files are written on this machine."""
        return self.folder.directory

    def run(self, engine: ImageEngine | None = None) -> list[Row]:
        """Do the work.

        Args:
            engine: predicts on images and writes what is wanted of them, giving rows as they are done; the local
                machine if None.

        Returns:
            A row per source, in order.

        Raises:
            ConfigError: if the output folder is in use, or was made with something else than what is to be resumed.
            DataError: if the disk is full, or a URL cannot be written to.
            OSError: if something cannot be written.
        """
        with exclusive(self.folder):
            try:
                return self._run(engine or local_engine)
            finally:
                self.folder.clear()
                forget(self.sources)

    def _run(self, engine: ImageEngine) -> list[Row]:
        kept = self._resumed() if self.output.resume else {}
        _sweep(self.directory)
        order = [source.place for source in self.sources]
        path = self.directory / TABLE
        try:
            with _full_disk_told(self.directory), growing_table(path, kept.values(), order) as table:
                # After the table: killed in between, no row of an earlier run passes for one of this run
                self.folder.send(path, keep=True)
                self.folder.send(write_manifest(self.description, self.directory))
                self._images(table, kept, engine)
                self._rest(table, kept)
                rows = [table.rows[place] for place in order if place in table.rows]
                if self.output.coco:
                    self._write_coco(rows)
        finally:
            self.folder.send(path)
        return rows

    @property
    def writer(self) -> PredictionWriter:
        """Writes what is wanted of an image."""
        return PredictionWriter(self.directory, self.output, self.folder.url)

    def _resumed(self) -> dict[str, Row]:
        """Return the rows of sources that are done, whose files are all there."""
        table = self.directory / TABLE
        for path in (table, self.directory / MANIFEST):
            self.folder.bring(path)
        if not check_manifest(self.description, self.directory) or not table.is_file():
            return {}
        rows = {row.path: row for row in read_table(table) if row.status == "ok"}
        done: dict[str, Row] = {}
        sent, writer = self.folder.listing(), self.writer
        for source in self.sources:
            row = rows.get(source.place)
            if row and all(path.exists() if sent is None else path in sent for path in writer.files(source)):
                done[row.path] = row
        return done

    def _images(self, table: TableWriter, kept: dict[str, Row], engine: ImageEngine) -> None:
        requests = []
        for index, source in enumerate(self.sources):
            if source.kind == "image":
                row = kept.get(source.place)
                size = (row.height, row.width) if row and row.height and row.width else None
                requests.append(Request(index, source.path, row is not None, size, source.url))
        if all(request.done for request in requests):
            return
        with self.show("predict", len(requests)) as progress:
            progress.advance(sum(request.done for request in requests))
            sending = Regularly(self.folder, self.directory / TABLE)
            for row in engine(self, requests):
                _take(table, row, progress)
                sending.send()

    def _rest(self, table: TableWriter, kept: dict[str, Row]) -> None:
        """Predict on what is not an image, one after the other."""
        for source in self.sources:
            if source.kind == "image" or source.place in kept:
                continue
            row = self._predict(source)
            self.folder.send(*self.writer.files(source))
            with self.show("predict", 1) as progress:
                _take(table, row, progress)

    def _predict(self, source: Source) -> Row:
        """Predict on a raster or a video."""
        predict = predict_raster_source if source.kind == "raster" else predict_video
        if source.url is None:
            return predict(self.predictor, source, self.writer, self.show)
        try:
            fetch(source.url, source.path)
        except XsegError as error:
            return failed_row(source, Failure(source.path, error))
        try:
            return predict(self.predictor, source, self.writer, self.show)
        finally:
            source.path.unlink(missing_ok=True)

    def _write_coco(self, rows: Sequence[Row]) -> None:
        """Write one file of all masks, image by image; videos are left out."""
        labels = self.predictor.labels

        def images() -> Iterator[CocoImage]:
            for row in rows:
                mask = self.directory / row.mask
                if row.status != "ok":
                    continue
                self.folder.bring(mask)
                if row.height and row.width and mask.is_file():
                    pixels = mask if mask.suffix == ".tif" else np.asarray(Image.open(mask))
                    yield CocoImage(row.path, row.height, row.width, coco_annotations(pixels, labels))
                if self.folder.url:
                    mask.unlink(missing_ok=True)

        self.folder.send(write_coco(images(), self.directory / "coco.json", labels))


def local_engine(job: Job, requests: Sequence[Request]) -> Iterator[Row]:
    """Predict on images on this machine, giving rows as they are written."""
    return predict_images(job.predictor, job.sources, job.writer, requests)


def predict_images(
    predictor: Predictor, sources: Sequence[Source] | Mapping[int, Source], writer: PredictionWriter,
    requests: Sequence[Request],
) -> Iterator[Row]:  # fmt: skip
    """Predict on images and write what is wanted of them.

    Args:
        predictor: predicts.
        sources: by the requests' indices.
        writer: writes.
        requests: what is to be done, in order.

    Yields:
        The row of each image that was not done already, as soon as its files are there.

    Raises:
        OSError: if a file cannot be written.
    """
    wanted = writer.options.probabilities

    def finish(request: Request, image: Decoded, computed: Computed, seconds: float) -> Row:
        prediction = predictor.finish(image, computed, seconds=seconds, probabilities=wanted)
        return writer.write(sources[request.index], prediction)

    for item in run_pipeline(predictor.computer(probabilities=wanted), requests, finish):
        if isinstance(item.result, Failure):
            yield failed_row(sources[item.request.index], item.result)
        else:
            yield item.result


def predict_raster_source(predictor: Predictor, source: Source, writer: PredictionWriter, show: ShowProgress) -> Row:
    """Predict on a raster by windows, and write what is wanted of it.

    Raises:
        OSError: if a file cannot be written.
    """
    options, mask = predictor.options, writer.file(MASKS, source, ".tif")
    start = time.perf_counter()
    try:
        summary = predict_raster(
            predictor,
            source.path,
            mask,
            RasterOptions(options.tile, options.overlap, options.batch_size, max(options.scales)),
            probabilities=writer.file(PROBABILITIES, source, ".tif") if writer.options.probabilities else None,
            show=show,
        )
    except XsegError as error:
        return failed_row(source, Failure(source.path, error))
    if writer.options.overlay:
        save_image(raster_overlay(source.path, mask, predictor.labels), writer.file(OVERLAYS, source, ".jpg"))
    if writer.options.polygons:
        path = writer.file(POLYGONS, source, ".geojson")
        write_polygons(mask, path, predictor.labels, tolerance=writer.options.tolerance)
    return writer.row(source, summary.height, summary.width, time.perf_counter() - start, summary.pixels, mask)


def _take(table: TableWriter, row: Row, progress: Progress) -> None:
    table.append(row)
    progress.advance()
    if row.status == "failed":
        progress.message(f"xseg predict: failed: {row.error}")


def _sweep(directory: Path) -> None:
    """Remove what a killed run left half-written; no other run is in the folder."""
    for folder in (MASKS, OVERLAYS, PROBABILITIES, POLYGONS):
        for path in (directory / folder).rglob(".*"):
            if path.is_file() and re.fullmatch(TEMPORARY, path.name):
                path.unlink(missing_ok=True)
    for path in directory.glob(".*"):
        if path.is_file() and re.fullmatch(TEMPORARY, path.name):
            path.unlink(missing_ok=True)


@contextmanager
def _full_disk_told(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataError(
            f"the disk of {directory} is full; what is done so far is kept",
            remedy="free some space, then run again with --resume",
        ) from error
