"""A whole run of `predict`: every source to its files and its row, survivable and resumable."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
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
from xseg.predict.earlier import PLACES, SOURCES, EarlierRun, describe_sources
from xseg.predict.lock import exclusive
from xseg.predict.manifest import write_manifest
from xseg.predict.options import FolderOptions
from xseg.predict.outputs.mask import Mask
from xseg.predict.outputs.output import MaskFile, Output
from xseg.predict.outputs.registry import OUTPUTS, check_outputs
from xseg.predict.raster import predict_raster_source
from xseg.predict.sources import Source, forget
from xseg.predict.staging import OutputFolder, Regularly
from xseg.predict.table import TABLE, Row, TableWriter, growing_table
from xseg.predict.video import predict_video
from xseg.predict.writer import PredictionWriter, failed_row

ImageEngine: TypeAlias = "Callable[[Job, Sequence[Request]], Iterator[Row]]"


@dataclass(frozen=True)
class Job:
    """What a run does.

    Args:
        predictor: predicts.
        sources: what to predict on, with names of their own.
        options: where outputs go.
        description: what the run is made with; see `describe_run`.
        show: shows progress.
        outputs: what is written beside what is always written.

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
        check_outputs(self.outputs, self.sources)

    @property
    def folder(self) -> OutputFolder:
        """The output folder."""
        return OutputFolder.named(self.options.output_dir)

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
            ConfigError: if the output folder is in use, or holds another run or other files.
            DataError: if the disk is full, or a URL cannot be written to.
            OSError: if something cannot be written.
        """
        with exclusive(self.folder):
            try:
                return self._run(engine or local_engine)
            finally:
                forget(self.sources)

    def _run(self, engine: ImageEngine) -> list[Row]:
        kept = self._kept()
        _sweep(self.directory, self.outputs)
        order = [source.place for source in self.sources]
        path = self.directory / TABLE
        try:
            with _full_disk_told(self.directory), ExitStack() as stack:
                # Before the table: killed in between, the folder is that of a run in which nothing is done
                self.folder.send(write_manifest(self.manifest, self.directory))
                table = stack.enter_context(growing_table(path, kept.values(), order))
                self.folder.send(path, keep=True)
                self._images(table, kept, engine)
                self._rest(table, kept)
                rows = [table.rows[place] for place in order if place in table.rows]
                for output in self.outputs:
                    if output.summary:
                        self._summarize(output, rows)
        finally:
            self.folder.send(path)
        return rows

    @property
    def writer(self) -> PredictionWriter:
        """Writes what is wanted for a source."""
        return PredictionWriter(self.directory, self.outputs, self.folder.url)

    @property
    def manifest(self) -> dict[str, Any]:
        """What the run is made with, its sources, and the folders and files that it writes."""
        return {**self.description, SOURCES: describe_sources(self.sources), PLACES: self._places()}

    def _places(self) -> list[str]:
        media = {source.medium for source in self.sources}
        found = {output.folder for medium in media for output in self.writer.wanted(medium)}
        return sorted(found | {output.summary for output in self.outputs} - {""})

    def _kept(self) -> dict[str, Row]:
        """Return the rows of sources that stay as an earlier run left them; all else that it left is removed.

        Raises:
            ConfigError: if the folder holds another run that is neither resumed nor overwritten, or other files.
        """
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
        files = {source.place: self.writer.file(Mask(), source) for source in self.sources}
        masks = {place: file.relative_to(self.directory).as_posix() for place, file in files.items()}
        earlier.require_sources(rows, masks)
        return self._done(rows)

    def _done(self, rows: Sequence[Row]) -> dict[str, Row]:
        """Return the rows of sources whose files are all there, and remove those of other images."""
        earlier = {row.path: row for row in rows if row.status == "ok"}
        done: dict[str, Row] = {}
        sent, writer = self.folder.listing(), self.writer
        for source in self.sources:
            files = writer.files(source)
            there = [path for path in files if (path.exists() if sent is None else path in sent)]
            if source.place in earlier and len(there) == len(files):
                done[source.place] = earlier[source.place]
            elif source.kind == "image":  # a video reuses what it has
                for path in there:
                    self.folder.remove(path)
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
        if source.url is None:
            return self._predict_here(source)
        try:
            fetch(source.url, source.path)
        except XsegError as error:
            return failed_row(source, Failure(source.path, error))
        try:
            return self._predict_here(source)
        finally:
            source.path.unlink(missing_ok=True)

    def _predict_here(self, source: Source) -> Row:
        if source.kind == "raster":
            return predict_raster_source(self.predictor, source, self.writer, self.show)
        return predict_video(self.predictor, source, self.writer, self.show, reuse=self.options.resume)

    def _summarize(self, output: Output, rows: Sequence[Row]) -> None:
        """Write an output's one file for all sources."""
        media = {source.place: source.medium for source in self.sources}

        def masks() -> Iterator[MaskFile]:
            for row in rows:
                if row.status != "ok" or media[row.path] not in output.summarized:
                    continue
                mask = self.directory / row.mask
                self.folder.bring(mask)
                if row.height and row.width and mask.is_file():
                    yield MaskFile(row.path, row.height, row.width, mask)
                if self.folder.url:
                    mask.unlink(missing_ok=True)

        path = self.directory / output.summary
        with atomic_path(path) as beside:
            output.write_summary(masks(), self.predictor.labels, beside)
        self.folder.send(path)


def local_engine(job: Job, requests: Sequence[Request]) -> Iterator[Row]:
    """Predict on images on this machine, giving rows as they are written."""
    return predict_images(job.predictor, job.sources, job.writer, requests)


def predict_images(
    predictor: Predictor, sources: Sequence[Source] | Mapping[int, Source], writer: PredictionWriter,
    requests: Sequence[Request],
) -> Iterator[Row]:  # fmt: skip
    """Predict on images and write what is wanted for them.

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
    wanted = writer.needs_probabilities

    def finish(request: Request, image: Decoded, computed: Computed, seconds: float) -> Row:
        prediction = predictor.finish(image, computed, seconds=seconds, probabilities=wanted)
        return writer.write(sources[request.index], prediction)

    for item in run_pipeline(predictor.computer(probabilities=wanted), requests, finish):
        if isinstance(item.result, Failure):
            yield failed_row(sources[item.request.index], item.result)
        else:
            yield item.result


def _take(table: TableWriter, row: Row, progress: Progress) -> None:
    table.append(row)
    progress.advance()
    if row.status == "failed":
        progress.message(f"xseg predict: failed: {row.error}")


def _sweep(directory: Path, outputs: Sequence[Output]) -> None:
    """Remove what a killed run left half-written; no other run is in the folder."""
    folders = {kind.folder for kind in OUTPUTS.values()} | {output.folder for output in outputs}
    for folder in folders - {""}:
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
