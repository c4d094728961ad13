from __future__ import annotations

import threading
import time

import pytest

from xseg.inference.prefetch import prefetch


def test_results_come_in_order_however_long_each_takes():
    def work(item):
        time.sleep(0.01 * (item % 3 == 0))
        return item * 2

    assert list(prefetch(work, range(20), threads=4, depth=6)) == [item * 2 for item in range(20)]
    assert list(prefetch(work, [])) == []


def test_at_most_depth_items_are_taken_before_a_result_is_used():
    taken = []
    results = prefetch(lambda item: item, (taken.append(item) or item for item in range(100)), depth=5)
    next(results)
    assert len(taken) == 5
    results.close()


def test_prompt_results_come_before_further_items_are_taken():
    taken = []

    def slow_items():
        for item in range(6):
            time.sleep(0.05)
            taken.append(item)
            yield item

    lag = [len(taken) - item for item in prefetch(lambda item: item, slow_items(), prompt=True)]
    assert max(lag) <= 2
    assert len(lag) == 6


def test_items_are_worked_on_side_by_side():
    both = threading.Barrier(2, timeout=5)
    assert list(prefetch(lambda _: both.wait() >= 0, range(4), threads=2)) == [True] * 4


def test_an_error_is_raised_in_its_turn():
    def work(item):
        if item == 2:
            raise ValueError("two")
        return item

    results = prefetch(work, range(5))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


def test_leaving_in_the_middle_ends_the_threads():
    before = threading.active_count()
    results = prefetch(lambda item: item, range(100))
    next(results)
    results.close()
    assert threading.active_count() == before
