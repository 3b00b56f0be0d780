"""Many things at once: results in order, few of them begun ahead, and the first failure ends it."""

from __future__ import annotations

import threading
import time

import pytest

from curate.filtering.ordered_map import in_order
from tests.support.waiting import HANG_SECONDS


def test_results_come_in_the_order_of_the_items():
    def slow_first(number: int) -> int:
        time.sleep(0.05 if number == 0 else 0)
        return number

    assert list(in_order(slow_first, range(20), concurrency=4)) == list(range(20))


def test_several_items_are_worked_on_at_once():
    together = threading.Barrier(4, timeout=HANG_SECONDS)
    assert len(list(in_order(lambda _: together.wait(), range(8), concurrency=4))) == 8


def test_items_are_not_taken_far_ahead_of_the_results():
    taken = []
    items = (taken.append(n) or n for n in range(100))
    results = in_order(lambda n: n, items, concurrency=3)
    for expected in range(50):
        assert next(results) == expected
        assert len(taken) <= expected + 6
    results.close()


def test_the_first_failure_is_raised_and_nothing_more_is_begun():
    begun = []

    def fails_at_ten(number: int) -> int:
        begun.append(number)
        if number == 10:
            raise ValueError("ten")
        return number

    results = in_order(fails_at_ten, range(1000), concurrency=2)
    assert [next(results) for _ in range(10)] == list(range(10))
    with pytest.raises(ValueError, match="ten"):
        next(results)
    assert len(begun) < 20
