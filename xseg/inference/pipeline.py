"""Prediction pipeline for files: headers, decoding, computing and finishing overlap, with batches of equal size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

from numpy.typing import NDArray

from xseg.errors import DataError, XsegError
from xseg.files.remote import fetch
from xseg.images.normalization import Normalization
from xseg.images.reading import image_size
from xseg.inference.memory import refuse_oversized
from xseg.inference.prediction import Failure
from xseg.inference.prefetch import prefetch
from xseg.inference.preprocessing import to_array
from xseg.inference.scores import Tiled, WholeImage

Computed: TypeAlias = WholeImage | Tiled
Result = TypeVar("Result")

DECODE_THREADS = 2
FINISH_THREADS = 2
FETCH_THREADS = 8  # files whose download and header are processed at once
SIZES_PREFETCHED = 16  # files whose headers are read before their pixels
WINDOW = 8  # batches per window, in which images of equal size are grouped
# Pixels of all images decoded at once, and of one batch; large images are computed alone, whatever the batch size.
DECODED_PIXELS = 1 << 26
BATCH_PIXELS = 1 << 23


@dataclass(frozen=True)
class Request:
    """A file to predict.

    Args:
        index: position in the order.
        path: path of the file.
        done: whether its result exists already. It is then computed only for other images in its batch: rounding may
            depend on the batch, and their results must equal those of an uninterrupted run.
        size: height and width, if known.
        url: URL from which the file is downloaded, and removed after decoding; None for a local file.
    """

    index: int
    path: Path
    done: bool = False
    size: tuple[int, int] | None = None
    url: str | None = None


@dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded image: pixels (H, W, C), the path of its file, if any, and the reading time in seconds."""

    array: NDArray[Any]
    path: Path | None = None
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Finished(Generic[Result]):
    """Result of a request."""

    request: Request
    result: Result | Failure


@dataclass(frozen=True, eq=False)
class Computer:
    """Interface of a predictor for the pipeline: `compute` takes images of one size, `workers` batches at once."""

    compute: Callable[[list[Decoded]], list[Computed | Failure]]
    normalization: Normalization
    batch_size: int = 1
    workers: int = 1


@dataclass(frozen=True, eq=False)
class _Ready:
    """A request with its decoded image or failure; without image if it is done."""

    request: Request
    size: tuple[int, int]
    image: Decoded | None = None
    failure: Failure | None = None


def run_pipeline(
    computer: Computer, requests: Iterable[Request], finish: Callable[[Request, Decoded, Computed, float], Result]
) -> Iterator[Finished[Result]]:
    """Run files through a model.

    Args:
        computer: interface of the predictor.
        requests: requests, consumed a few at a time.
        finish: function from a request, its image, its computed scores and its share of the computing time to a
            result; called in threads.

    Yields:
        The result of every request that is not done, batch by batch; `in_order` restores the order of requests.
    """
    normalization, workers = computer.normalization, computer.workers
    measure, decode = (partial(step, normalization=normalization) for step in (_measure, _decode))
    sized = prefetch(measure, requests, threads=FETCH_THREADS, depth=SIZES_PREFETCHED)
    ready = prefetch(
        decode,
        sized,
        threads=DECODE_THREADS,
        depth=max(4, 2 * computer.batch_size),
        weigh=lambda item: item.size[0] * item.size[1],
        limit=DECODED_PIXELS,
    )
    batches = (batch for batch in _batches(ready, computer.batch_size) if not all(i.request.done for i in batch))
    computed = prefetch(partial(_compute, computer), batches, threads=workers, depth=workers + 1)
    for batch in prefetch(partial(_finish, finish), computed, threads=FINISH_THREADS, prompt=True):
        yield from batch


def in_order(finished: Iterable[Finished[Result]]) -> Iterator[Result | Failure]:
    """Yield results in the order of their requests, whose indices start at 0."""
    waiting: dict[int, Result | Failure] = {}
    following = 0
    for item in finished:
        waiting[item.request.index] = item.result
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _measure(request: Request, normalization: Normalization) -> _Ready:
    """Read the size of an image from its header, and refuse images that do not fit into memory."""
    if request.size is not None:
        return _Ready(request, request.size)
    try:
        _bring(request)
        height, width = image_size(request.path)
        refuse_oversized(request.path, height, width, channels=normalization.channels)
    except XsegError as error:
        _leave(request)
        return _Ready(request, (0, 0), failure=Failure(request.path, error))
    return _Ready(request, (height, width))


def _bring(request: Request) -> None:
    if request.url and not request.path.exists():
        fetch(request.url, request.path)


def _leave(request: Request) -> None:
    if request.url:
        request.path.unlink(missing_ok=True)


def _decode(item: _Ready, normalization: Normalization) -> _Ready:
    if item.failure or item.request.done:
        return item
    start = time.perf_counter()
    try:
        _bring(item.request)
        array = to_array(item.request.path, normalization)
    except XsegError as error:
        return replace(item, failure=Failure(item.request.path, error))
    finally:
        _leave(item.request)
    size = (array.shape[0], array.shape[1])
    return replace(item, size=size, image=Decoded(array, item.request.path, time.perf_counter() - start))


def window_of(request: Request, batch_size: int) -> int:
    """Return the number of the window of a request; images are only grouped within a window."""
    return request.index // (WINDOW * batch_size)


def _batches(items: Iterable[_Ready], batch_size: int) -> Iterator[list[_Ready]]:
    """Group images of one size within each window.

    The groups depend only on the images of the window, not on finished results or other windows.
    """
    for _, window in groupby(items, key=lambda item: window_of(item.request, batch_size)):
        groups: dict[tuple[int, int], list[_Ready]] = {}
        pixels = 0
        for item in window:
            if item.failure:
                yield [item]
                continue
            area = item.size[0] * item.size[1]
            group = groups.setdefault(item.size, [])
            group.append(item)
            pixels += area
            if len(group) >= min(batch_size, max(1, BATCH_PIXELS // area)):
                yield groups.pop(item.size)
                pixels -= area * len(group)
            elif pixels > DECODED_PIXELS:
                yield from groups.values()
                groups, pixels = {}, 0
        yield from groups.values()


def _compute(computer: Computer, batch: list[_Ready]) -> list[tuple[_Ready, Computed | Failure, float]]:
    """Compute a batch, including finished images, whose results are dropped."""
    filled = [_fill(item, computer.normalization) for item in batch]
    images = [item.image for item in filled if item.image is not None]
    start = time.perf_counter()
    results = iter(computer.compute(images) if images else ())
    seconds = (time.perf_counter() - start) / max(1, len(images))
    paired = [(item, item.failure if item.failure else next(results)) for item in filled]
    return [(item, result, seconds) for item, result in paired if not item.request.done]


def _fill(item: _Ready, normalization: Normalization) -> _Ready:
    """Decode a finished image to complete a batch; a file that has changed since is a failure."""
    if not item.request.done:
        return item
    decoded = _decode(replace(item, request=replace(item.request, done=False)), normalization)
    if decoded.size != item.size or decoded.image is None:
        return replace(item, failure=Failure(item.request.path, DataError(f"{item.request.path} has changed")))
    return replace(item, image=decoded.image)


def _finish(
    finish: Callable[[Request, Decoded, Computed, float], Result], batch: list[tuple[_Ready, Computed | Failure, float]]
) -> list[Finished[Result]]:
    finished = []
    for item, result, seconds in batch:
        if isinstance(result, Failure):
            finished.append(Finished[Result](item.request, result))
        elif item.image is None:
            raise ValueError(f"{item.request.path} was neither decoded nor refused")
        else:
            finished.append(Finished(item.request, finish(item.request, item.image, result, seconds)))
    return finished
