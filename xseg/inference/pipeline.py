"""Files through a predictor: sizing, reading, computing and finishing overlap, and images of one size share batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
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
from xseg.inference.prefetch import ahead
from xseg.inference.preprocessing import to_array
from xseg.inference.scores import Scores, Tiled

Computed: TypeAlias = Scores | Tiled
Result = TypeVar("Result")

DECODE_THREADS = 2
FINISH_THREADS = 2
FETCH_THREADS = 8  # files that are fetched, and whose headers are read, at once
SIZES_AHEAD = 16  # files whose headers are read before their pixels
WINDOW = 8  # batches' worth of neighbouring images among which those of one size are grouped
# Pixels of all images that are decoded at once, and of one batch: large ones go alone, whatever the batch size.
DECODED_PIXELS = 1 << 26
BATCH_PIXELS = 1 << 23


@dataclass(frozen=True)
class Request:
    """A file to predict on.

    Args:
        index: its place in the order.
        path: the file.
        done: whether its result exists already. It is then read and computed only where another image of its batch
            needs it: a network's rounding may depend on the batch, and the others are to come out as if nothing had
            been interrupted.
        size: its rows and columns, if they are known.
        url: what the file is fetched from, and removed again when it is decoded; None for one that is here.
    """

    index: int
    path: Path
    done: bool = False
    size: tuple[int, int] | None = None
    url: str | None = None


@dataclass(frozen=True, eq=False)
class Decoded:
    """An image that is ready to be predicted on.

    Args:
        array: (H, W, C) pixels.
        path: its file, if it has one.
        seconds: time spent on reading it.
    """

    array: NDArray[Any]
    path: Path | None = None
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Finished(Generic[Result]):
    """What became of a request."""

    request: Request
    result: Result | Failure


@dataclass(frozen=True, eq=False)
class Computer:
    """What the pipeline needs of a predictor.

    Args:
        compute: computes images of one size.
        normalization: says how many channels and which values the model takes.
        batch_size: images of one size that are computed together.
        workers: batches that are computed at once.
    """

    compute: Callable[[list[Decoded]], list[Computed | Failure]]
    normalization: Normalization
    batch_size: int = 1
    workers: int = 1


@dataclass(frozen=True, eq=False)
class _Ready:
    """A request whose image is decoded, or left alone because it is done, or failed."""

    request: Request
    size: tuple[int, int]
    image: Decoded | None = None
    failure: Failure | None = None


def run_pipeline(
    computer: Computer,
    requests: Iterable[Request],
    finish: Callable[[Request, Decoded, Computed, float], Result],
) -> Iterator[Finished[Result]]:
    """Run files through a model.

    Args:
        computer: what computes images.
        requests: taken a few at a time.
        finish: makes a result of an image, what was computed of it, and its share of the seconds that took; called in
            threads.

    Yields:
        What became of every request that is not done, batch by batch; `in_order` restores the requests' order.
    """
    sized = ahead(
        lambda request: _measure(request, computer.normalization), requests, threads=FETCH_THREADS, depth=SIZES_AHEAD
    )
    ready = ahead(
        lambda item: _decode(item, computer.normalization),
        sized,
        threads=DECODE_THREADS,
        depth=max(4, 2 * computer.batch_size),
        weigh=lambda item: item.size[0] * item.size[1],
        limit=DECODED_PIXELS,
    )
    batches = (batch for batch in _batches(ready, computer.batch_size) if not all(i.request.done for i in batch))
    workers = computer.workers
    computed = ahead(lambda batch: _compute(computer, batch), batches, threads=workers, depth=workers + 1)
    finished = ahead(
        lambda batch: [_finish(item, result, seconds, finish) for item, result, seconds in batch],
        computed,
        threads=FINISH_THREADS,
        prompt=True,
    )
    for batch in finished:
        yield from batch


def in_order(finished: Iterable[Finished[Result]]) -> Iterator[Result | Failure]:
    """Give results in the order of their requests, whose indices count from 0."""
    waiting: dict[int, Result | Failure] = {}
    following = 0
    for item in finished:
        waiting[item.request.index] = item.result
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _measure(request: Request, normalization: Normalization) -> _Ready:
    """Read a file's size from its header, and refuse what would not fit into memory before it is decoded."""
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
    """Return the number of the window that a request is in; images are grouped within a window alone."""
    return request.index // (WINDOW * batch_size)


def _batches(items: Iterable[_Ready], batch_size: int) -> Iterator[list[_Ready]]:
    """Group images of one size within each window.

    What is grouped depends on the window's images alone, not on what is done already or where the others are computed.
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
    """Compute a batch; images that are done already fill it up, and are left out afterwards."""
    filled = [_fill(item, computer.normalization) for item in batch]
    images = [item.image for item in filled if item.image is not None]
    start = time.perf_counter()
    results = iter(computer.compute(images) if images else ())
    seconds = (time.perf_counter() - start) / max(1, len(images))
    paired = [(item, item.failure if item.failure else next(results)) for item in filled]
    return [(item, result, seconds) for item, result in paired if not item.request.done]


def _fill(item: _Ready, normalization: Normalization) -> _Ready:
    """Decode an image that is done already; nothing of it is used if the file has changed since."""
    if not item.request.done:
        return item
    decoded = _decode(replace(item, request=replace(item.request, done=False)), normalization)
    if decoded.size != item.size or decoded.image is None:
        return replace(item, failure=Failure(item.request.path, DataError(f"{item.request.path} has changed")))
    return replace(item, image=decoded.image)


def _finish(
    item: _Ready,
    result: Computed | Failure,
    seconds: float,
    finish: Callable[[Request, Decoded, Computed, float], Result],
) -> Finished[Result]:
    if isinstance(result, Failure) or item.image is None:
        failure = result if isinstance(result, Failure) else item.failure
        if failure is None:
            raise ValueError(f"{item.request.path} was neither decoded nor refused")
        return Finished(item.request, failure)
    return Finished(item.request, finish(item.request, item.image, result, seconds))
