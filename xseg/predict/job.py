"""A complete run of `predict`, which can be resumed after a failure."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from xseg.errors import DataError, XsegError
from xseg.files.atomic import TEMPORARY, atomic_path
from xseg.files.progress import Progress, ShowProgress
from xseg.files.remote import fetch
from xseg.inference.pipeline import Computed, Decoded, Request, run_pipeline
from xseg.inference.prediction import Failure
from xseg.inference.predictor import Predictor
from xseg.predict.manifest import PLACES, SOURCES, EarlierRun, describe_sources, write_manifest
from xseg.predict.options import FolderOptions
from xseg.predict.outputs.output import MaskFile, Output
from xseg.predict.outputs.registry import OUTPUTS, check_outputs
from xseg.predict.raster import predict_raster_source
from xseg.predict.sources import Source, forget
from xseg.predict.staging import OutputFolder, exclusive
from xseg.predict.table import TABLE, PredictionRow, TableWriter, growing_table
from xseg.predict.video import predict_video
from xseg.predict.writer import PredictionWriter, failed_row

SEND_SECONDS = 30.0  # interval for uploads of the growing table, as object storage cannot append

ImageEngine: TypeAlias = "Callable[[Job, Sequence[Request]], Iterator[PredictionRow]]"


@dataclass(frozen=True)
class Job:
    """A run of prediction for sources with unique names.

    The `description` of model and options is from `describe_run`; `outputs` are those besides the ones always written.

    Raises:
        XsegError: if an output cannot be written for a source.
    """

    predictor: Predictor
    sources: Sequence[Source]
    options: FolderOptions
    description: dict[str, Any]
    show: ShowProgress
    outputs: tuple[Output, ...] = ()

    def __post_init__(self) -> None:
        check_outputs(self.outputs, self.sources, overlapping=self.predictor.labels.overlapping)
        self.writer.mask.table(self.predictor.labels)  # refuses values that do not fit the classes

    @property
    def folder(self) -> OutputFolder:
        """Output folder."""
        return OutputFolder.named(self.options.output_dir)

    @property
    def directory(self) -> Path:
        """Local folder for the files."""
        return self.folder.directory

    def run(self, engine: ImageEngine | None = None) -> list[PredictionRow]:
        """Run the prediction, and return one row per source, in order.

        The `engine` predicts images, writes their outputs and yields their rows; None for this machine.

        Raises:
            ConfigError: if the output folder is in use, or holds another run or other files.
            DataError: if the disk is full, or a URL cannot be written to.
            OSError: if a file cannot be written.
        """
        with exclusive(self.folder):
            try:
                return self._run(engine or local_engine)
            finally:
                forget(self.sources)

    def _run(self, engine: ImageEngine) -> list[PredictionRow]:
        kept = self._kept()
        _sweep(self.directory, self.outputs)
        order = [source.place for source in self.sources]
        path = self.directory / TABLE
        try:
            with _full_disk_reported(self.directory):
                # Before the table: after a kill in between, the folder holds a run without finished outputs
                self.folder.send(write_manifest(self.manifest, self.directory))
                with growing_table(path, kept.values(), order) as table:
                    self.folder.send(path, keep=True)
                    self._images(table, kept, engine)
                    self._rest(table, kept)
                    rows = [table.rows[place] for place in order if place in table.rows]
                    for output in filter(lambda output: output.summary, self.outputs):
                        self._summarize(output, rows)
        finally:
            self.folder.send(path)
        return rows

    @property
    def writer(self) -> PredictionWriter:
        """Writer for the outputs of a source."""
        return PredictionWriter(self.directory, self.outputs, self.folder.url, self.predictor.labels.overlapping)

    @property
    def manifest(self) -> dict[str, Any]:
        """Manifest with model, options, sources, and written folders and files."""
        return {**self.description, SOURCES: describe_sources(self.sources), PLACES: self._places()}

    def _places(self) -> list[str]:
        media = {source.medium for source in self.sources}
        found = {output.folder for medium in media for output in self.writer.wanted(medium)}
        return sorted(found | {output.summary for output in self.outputs} - {""})

    def _kept(self) -> dict[str, PredictionRow]:
        """Return the rows of finished sources from an earlier run, and remove all its other files."""
        earlier, resume = EarlierRun.find(self.folder), self.options.resume
        if earlier.manifest is None:
            earlier.require_nothing([*self._places(), TABLE])
            return {}
        if not self.options.overwrite:
            earlier.require_same(self.manifest, resume=resume)
        if not resume:
            earlier.remove()
            return {}
        rows = earlier.rows()
        files = {source.place: self.writer.file(self.writer.mask, source) for source in self.sources}
        masks = {place: file.relative_to(self.directory).as_posix() for place, file in files.items()}
        earlier.require_sources(rows, masks)
        return self._done(rows)

    def _done(self, rows: Sequence[PredictionRow]) -> dict[str, PredictionRow]:
        """Return the rows of sources with complete files, and remove the files of other images."""
        earlier = {row.path: row for row in rows if row.status == "ok"}
        done: dict[str, PredictionRow] = {}
        sent, writer = self.folder.listing(), self.writer
        for source in self.sources:
            files = writer.files(source)
            there = [path for path in files if (path.exists() if sent is None else path in sent)]
            if source.place in earlier and len(there) == len(files):
                done[source.place] = earlier[source.place]
            elif source.kind == "image":  # a video reuses its masks
                for path in there:
                    self.folder.remove(path)
        return done

    def _images(self, table: TableWriter, kept: dict[str, PredictionRow], engine: ImageEngine) -> None:
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
            sent = time.monotonic()
            for row in engine(self, requests):
                _take(table, row, progress)
                if time.monotonic() - sent >= SEND_SECONDS:
                    self.folder.send(self.directory / TABLE, keep=True)
                    sent = time.monotonic()

    def _rest(self, table: TableWriter, kept: dict[str, PredictionRow]) -> None:
        """Predict all sources that are not images, one after the other."""
        for source in self.sources:
            if source.kind == "image" or source.place in kept:
                continue
            row = self._predict(source)
            self.folder.send(*self.writer.files(source))
            with self.show("predict", 1) as progress:
                _take(table, row, progress)

    def _predict(self, source: Source) -> PredictionRow:
        """Predict a raster or a video."""
        try:
            if source.url:
                fetch(source.url, source.path)
        except XsegError as error:
            return failed_row(source, Failure(source.path, error))
        try:
            if source.kind == "raster":
                return predict_raster_source(self.predictor, source, self.writer, self.show)
            return predict_video(self.predictor, source, self.writer, self.show, reuse=self.options.resume)
        finally:
            if source.url:
                source.path.unlink(missing_ok=True)

    def _summarize(self, output: Output, rows: Sequence[PredictionRow]) -> None:
        """Write the file of an output for all sources."""
        media = {source.place: source.medium for source in self.sources}

        def masks() -> Iterator[MaskFile]:
            """Yield the masks that an output summarises."""
            for row in rows:
                if row.status != "ok" or media[row.path] not in output.summarized:
                    continue
                mask = self.directory / row.mask
                self.folder.bring(mask)
                if row.height and row.width and mask.is_file():
                    with self.writer.mask.ids_file(mask, self.predictor.labels) as ids:
                        yield MaskFile(row.path, row.height, row.width, ids, media[row.path])
                if self.folder.url:
                    mask.unlink(missing_ok=True)

        with atomic_path(path := self.directory / output.summary) as temporary:
            output.write_summary(masks(), self.predictor.labels, temporary)
        self.folder.send(path)


def local_engine(job: Job, requests: Sequence[Request]) -> Iterator[PredictionRow]:
    """Predict images on this machine, and yield their rows when they are written."""
    return predict_images(job.predictor, job.sources, job.writer, requests)


def predict_images(
    predictor: Predictor, sources: Sequence[Source] | Mapping[int, Source], writer: PredictionWriter,
    requests: Sequence[Request],
) -> Iterator[PredictionRow]:  # fmt: skip
    """Predict images, write their outputs, and yield the row of each one when its files are complete.

    Images that were finished before have no row. `sources` has the indices of the requests.
    """
    wanted = any(output.needs_probabilities for output in writer.outputs)

    def finish(request: Request, image: Decoded, computed: Computed, seconds: float) -> PredictionRow:
        prediction = predictor.finish(image, computed, seconds=seconds, probabilities=wanted)
        return writer.write(sources[request.index], prediction)

    for item in run_pipeline(predictor.computer(probabilities=wanted), requests, finish):
        if isinstance(item.result, Failure):
            yield failed_row(sources[item.request.index], item.result)
        else:
            yield item.result


def _take(table: TableWriter, row: PredictionRow, progress: Progress) -> None:
    table.append(row)
    progress.advance()
    if row.status == "failed":
        progress.message(f"xseg predict: failed: {row.error}")


def _sweep(directory: Path, outputs: Sequence[Output]) -> None:
    """Remove unfinished files of a killed run; no other run uses the folder."""
    folders = {kind.folder for kind in OUTPUTS.values()} | {output.folder for output in outputs}
    inside = [path for folder in folders - {""} for path in (directory / folder).rglob(".*")]
    for path in (*inside, *directory.glob(".*")):
        if path.is_file() and re.fullmatch(TEMPORARY, path.name):
            path.unlink(missing_ok=True)


@contextmanager
def _full_disk_reported(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataError(
            f"the disk of {directory} is full; finished outputs are kept",
            remedy="free some space, and run again with --resume",
        ) from error
