"""Prefetching of items in threads while the current one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int = 2,
    depth: int = 8,
    prompt: bool = False,
    weigh: Callable[[Item], int] | None = None,
    limit: int = 0,
) -> Iterator[Result]:
    """Apply `function` to items in threads and yield the results in order.

    Unlike `ThreadPoolExecutor.map`, it takes at most `depth` items before their results are used, so that many large
    images do not fill the memory, and it can be stopped at any time.

    Args:
        function: thread-safe function that reads, decodes or writes one item.
        items: items, taken one by one in the calling thread.
        threads: number of items processed at once, 1 or more.
        depth: number of items taken before the first result is used, 1 or more.
        prompt: whether to yield a finished result before taking further items: for writing, where progress is
            reported, but not for reading.
        weigh: function that returns the share of `limit` of an item, for example its pixels.
        limit: largest total weight of the items processed at once; a single item may exceed it.

    Yields:
        The results in order; an exception of `function` is raised in place of its result.
    """
    pending: deque[tuple[Future[Result], int]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="xseg-prefetch")
    held = 0

    def take() -> Result:
        nonlocal held
        first, released = pending.popleft()
        held -= released
        return first.result()

    try:
        for item in items:
            weight = weigh(item) if weigh else 0
            while pending and held + weight > limit:
                yield take()
            pending.append((pool.submit(function, item), weight))
            held += weight
            while len(pending) >= depth or (prompt and pending and pending[0][0].done()):
                yield take()
        while pending:
            yield take()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items; the last one may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
