"""Videos and cameras: one mask per frame, and a video of overlays."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from xseg.errors import DataError
from xseg.files.atomic import atomic_path
from xseg.files.progress import ShowProgress
from xseg.images.overlay import Pixels
from xseg.inference.pipeline import Computed, Decoded
from xseg.inference.prediction import Failure, count_pixels, read_mask, save_mask
from xseg.inference.prefetch import batches, prefetch
from xseg.predict.outputs.mask import Mask
from xseg.predict.outputs.output import VideoStream, WriteFrame
from xseg.predict.sources import Source
from xseg.predict.table import PredictionRow
from xseg.predict.writer import PredictionWriter, blaming_stream, failed_row

if TYPE_CHECKING:
    from xseg.inference.predictor import Predictor

FRAMES_PER_SECOND = 25.0  # frame rate of the overlays if the source has none
MISSING = 0.05  # largest share of announced frames that may be missing, as the header only estimates their number


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a video, (H, W, 3) uint8 RGB, and the file of its mask."""

    image: Pixels
    file: Path


def predict_video(
    predictor: Predictor, source: Source, writer: PredictionWriter, show: ShowProgress, *, reuse: bool = False
) -> PredictionRow:
    """Predict every frame of a video or a camera.

    Masks are written to masks/NAME/000001.png and so on, overlays to overlays/NAME.mp4. An interruption ends the run
    of a camera normally. With `reuse`, existing masks of a video are reused, but never those of a camera.

    Returns:
        The row of the table; failed if the video cannot be read, or ends too early.

    Raises:
        KeyboardInterrupt: if a video is interrupted, or a camera, whose files are complete then.
        OutputError: if a user's own output fails.
        OSError: if a file cannot be written.
    """
    start = time.perf_counter()
    folder, suffix = writer.file(writer.mask, source), writer.mask.suffix("image", overlapping=writer.overlapping)
    if source.kind == "camera":  # its frames always differ from those of an earlier run
        shutil.rmtree(folder, ignore_errors=True)
    try:
        with (
            _opened(source) as video,
            _written(writer, source, VideoStream(source.path, video.rate, predictor.labels)) as write,
            show(f"predict {source.path.name}", video.announced, unit="frames") as progress,
        ):
            counts = np.zeros(len(predictor.labels), np.int64)
            try:
                reuses, frames = reuse and source.kind == "video", video.frames(folder, suffix)
                for image, mask in _masks(predictor, frames, writer.mask, reuse=reuses):
                    write(image, mask)
                    counts += count_pixels(mask, len(counts))
                    progress.advance()
            except KeyboardInterrupt:
                if source.kind != "camera":
                    raise
            video.check()
    except DataError as error:
        return failed_row(source, Failure(source.path, error))
    pixels = dict(zip(predictor.labels.names, counts.tolist(), strict=True))
    return writer.row(source, video.height, video.width, time.perf_counter() - start, pixels)


class _Video:
    """An open video or camera."""

    def __init__(self, capture: Any, source: Source) -> None:
        self._capture, self._source = capture, source
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        self.rate = rate if 1 <= rate <= 1000 else FRAMES_PER_SECOND
        self.announced = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))) if source.kind == "video" else 0
        self.height = self.width = self.count = 0

    def frames(self, folder: Path, suffix: str) -> Iterator[Frame]:
        """Yield the rotated frames, with files of a suffix; those of a camera end with an interruption."""
        while True:
            try:
                there, image = self._capture.read()
            except KeyboardInterrupt:
                if self._source.kind != "camera":
                    raise
                return
            if not there:
                return
            self.count += 1
            self.height, self.width = image.shape[:2]
            yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), folder / f"{self.count:06d}{suffix}")

    def check(self) -> None:
        """Raise if there was no frame, or far fewer than announced."""
        if not self.count:
            raise DataError(f"{self._source.path} has no frame that can be decoded", expected="a complete video")
        if self.count < (1 - MISSING) * self.announced:
            got = f"{self._source.path} ends after {self.count} of {self.announced} frames"
            raise DataError(got, expected="a complete video")


@contextmanager
def _opened(source: Source) -> Iterator[_Video]:
    name: str | int = int(str(source.path)) if source.kind == "camera" else str(source.path)
    capture = cv2.VideoCapture(name)
    try:
        if not capture.isOpened():
            what = "a camera" if source.kind == "camera" else "a video that FFmpeg decodes"
            raise DataError(f"{source.path} cannot be opened", expected=what)
        yield _Video(capture, source)
    finally:
        capture.release()


def _masks(
    predictor: Predictor, frames: Iterator[Frame], output: Mask, *, reuse: bool
) -> Iterator[tuple[Pixels, NDArray[Any]]]:
    """Predict frames and write their masks; reading, computing and writing overlap."""
    computer, table = predictor.computer(), output.table(predictor.labels)

    def compute(batch: list[Frame]) -> list[tuple[Frame, Computed | None]]:
        """Return the scores of frames; None for finished masks."""
        if reuse and all(frame.file.is_file() for frame in batch):
            return [(frame, None) for frame in batch]
        computed: list[tuple[Frame, Computed | None]] = []
        for frame, result in zip(batch, computer.compute([Decoded(frame.image) for frame in batch]), strict=True):
            if isinstance(result, Failure):
                raise result.error
            computed.append((frame, result))
        return computed

    def finish(batch: list[tuple[Frame, Computed | None]]) -> list[tuple[Pixels, NDArray[Any]]]:
        """Return images and masks of a batch of frames; save new masks."""
        finished = []
        for frame, result in batch:
            mask = read_mask(frame.file, table) if result is None else result.labels()
            if result is not None:
                save_mask(mask, predictor.labels, frame.file, output.mask_values)
            finished.append((frame.image, mask))
        return finished

    grouped = batches(frames, computer.batch_size)
    computed = prefetch(compute, grouped, threads=computer.workers, depth=computer.workers + 1)
    for batch in prefetch(finish, computed, threads=2, depth=4):
        yield from batch


@contextmanager
def _written(writer: PredictionWriter, source: Source, video: VideoStream) -> Iterator[WriteFrame]:
    """Open the further outputs of a video, written completely or not at all; yield a function that adds a frame."""
    with ExitStack() as stack:
        writers = []
        for output in writer.wanted("video"):
            if not isinstance(output, Mask):
                path = stack.enter_context(atomic_path(writer.file(output, source)))
                stream = blaming_stream(output.stream_video(video, path), output, source)
                writers.append(stack.enter_context(stream))

        def write(image: NDArray[Any], mask: NDArray[Any]) -> None:
            for write_frame in writers:
                write_frame(image, mask)

        yield write
