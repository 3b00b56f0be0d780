"""Blocking work and tasks beside a coroutine, without leaving one behind half done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


_END = object()


@asynccontextmanager
async def beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `work` as long as this lasts; what it raises comes at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def in_thread(iterator: Iterator[T]) -> AsyncIterator[T]:
    """Iterate a blocking iterator without blocking the loop; one step at a time, nothing is read ahead.

    Once this ends, however it does, no thread is inside the iterator any more, so that it can be closed.
    """

    def step() -> object:
        return next(iterator, _END)

    while True:
        item = await uninterrupted(step)
        if item is _END:
            return
        yield item  # type: ignore[misc]


async def uninterrupted(call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What `call` returns from a thread; a cancellation waits for its end, so that nobody meets it half done."""
    task = asyncio.create_task(asyncio.to_thread(call, *arguments, **named))
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        task.exception()
        raise asyncio.CancelledError
    return task.result()
