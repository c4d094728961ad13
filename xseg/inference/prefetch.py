"""Doing the next items' slow part in threads while the current one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int = 2,
    depth: int = 8,
    prompt: bool = False,
    weigh: Callable[[Item], int] | None = None,
    limit: int = 0,
) -> Iterator[Result]:
    """Apply `function` to the items in threads and give the results in the items' order.

    Unlike `ThreadPoolExecutor.map` it takes at most `depth` items before their results are asked for, so that a
    million large images do not fill the memory, and it can be left in the middle.

    Args:
        function: reads, decodes or writes one item; safe to call from threads.
        items: taken one by one, in the calling thread.
        threads: how many items are worked on at once, 1 or more.
        depth: how many items are taken before the first result is used, 1 or more.
        prompt: give a result as soon as it is there instead of taking further items first: for work that comes after
            the items, such as writing, where what is done should be told; not for reading ahead.
        weigh: tells how much of `limit` an item needs, for example its pixels.
        limit: items that need more together are not worked on at once; a single one always is.

    Yields:
        The results, in order; an exception of `function` is raised in its turn.
    """
    pending: deque[tuple[Future[Result], int]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="xseg-ahead")
    held = 0
    try:
        for item in items:
            weight = weigh(item) if weigh else 0
            while pending and held + weight > limit:
                first, released = pending.popleft()
                held -= released
                yield first.result()
            pending.append((pool.submit(function, item), weight))
            held += weight
            while len(pending) >= depth or (prompt and pending and pending[0][0].done()):
                first, released = pending.popleft()
                held -= released
                yield first.result()
        while pending:
            yield pending.popleft()[0].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
