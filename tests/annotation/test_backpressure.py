"""The gate bounds what is in flight and never locks up."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading

import pytest

from curate.annotation.backpressure import Gate, GateClosed
from curate.core.threads import in_thread, uninterrupted
from tests.support.waiting import HANG_SECONDS


async def through(gate, nbytes, peak):
    ticket = await gate.enter()
    ticket.settle(nbytes)
    peak["items"] += 1
    peak["bytes"] += nbytes
    peak["most_items"] = max(peak["most_items"], peak["items"])
    peak["most_bytes"] = max(peak["most_bytes"], peak["bytes"])
    await asyncio.sleep(0)
    peak["items"] -= 1
    peak["bytes"] -= nbytes
    ticket.leave()


def run_many(gate, sizes):
    peak = {"items": 0, "bytes": 0, "most_items": 0, "most_bytes": 0}

    async def main():
        await asyncio.wait_for(asyncio.gather(*(through(gate, n, peak) for n in sizes)), HANG_SECONDS)

    asyncio.run(main())
    return peak


def test_bounds_the_number():
    assert run_many(Gate(3, 10**9), [1] * 50)["most_items"] == 3


def test_bounds_the_bytes_once_sizes_are_known():
    assert run_many(Gate(100, 1000), [400] * 50)["most_bytes"] <= 100 * 400
    gate = Gate(100, 1000)
    run_many(gate, [400])
    assert run_many(gate, [400] * 50)["most_bytes"] == 800


def test_one_item_larger_than_the_bound_passes():
    gate = Gate(10, 100)
    assert run_many(gate, [5000, 5000, 5000])["items"] == 0


def test_closing_wakes_those_who_wait():
    async def main():
        gate = Gate(1, 100)
        inside = await gate.enter()
        waiting = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        gate.close()
        with pytest.raises(GateClosed):
            await asyncio.wait_for(waiting, HANG_SECONDS)
        inside.leave()
        with pytest.raises(GateClosed):
            await gate.enter()

    asyncio.run(main())


def test_in_thread_yields_all_and_passes_errors_on():
    def numbers():
        yield 1
        yield None
        raise OSError("broken")

    seen = []

    async def main():
        seen.extend([item async for item in in_thread(itertools.islice(numbers(), 2))])
        async for _ in in_thread(numbers()):
            pass

    with pytest.raises(OSError, match="broken"):
        asyncio.run(main())
    assert seen == [1, None]


def test_a_cancelled_reader_leaves_no_thread_in_what_it_reads():
    reading, go_on = threading.Event(), threading.Event()
    closed = []

    def slow():
        try:
            reading.set()
            go_on.wait(HANG_SECONDS)
            yield 1
        finally:
            closed.append(True)

    async def read():
        with contextlib.closing(slow()) as numbers:
            async for _ in in_thread(numbers):
                pass

    async def main():
        task = asyncio.create_task(read())
        await asyncio.to_thread(reading.wait, HANG_SECONDS)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert closed == [True]


def test_uninterrupted_gives_result_and_error():
    def fail():
        raise OSError("broken")

    async def main():
        assert await uninterrupted(max, 1, 2) == 2
        with pytest.raises(OSError, match="broken"):
            await uninterrupted(fail)

    asyncio.run(main())
