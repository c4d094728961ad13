"""Parallel map over processes that keeps only a few results in memory."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import cv2

from xseg.errors import DataError

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK = 16  # items per message to a worker
_FEW = 64  # with fewer items, starting processes takes longer than the work

_work: Callable[[Any], Any] | None = None


def parallel_map(work: Callable[[Item], Result], items: Sequence[Item], *, workers: int) -> Iterator[Result]:
    """Yield `work` of every item, in order, from `workers` processes; with 0 or few items, from the main process.

    The work, sent to each process once, and the items, which should be small, are picklable.

    Raises:
        DataError: if a process was killed, for example by a crash of a decoder or lack of memory.
    """
    if workers == 0 or len(items) < _FEW:
        yield from map(work, items)
        return
    # not "fork": a process hangs if threads of OpenCV or PyTorch hold a lock while it forks
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    try:
        with ProcessPoolExecutor(workers, context, _start, (work,)) as pool:
            yield from pool.map(_do, items, chunksize=_CHUNK)
    except BrokenProcessPool as error:
        got = "a worker process was killed while it decoded files"
        raise DataError(got, remedy="use --workers 0 to find the file") from error


def _start(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    cv2.setNumThreads(0)  # parallelism comes from the processes


def _do(item: Any) -> Any:
    if _work is None:
        raise RuntimeError("the worker was not started")
    return _work(item)
