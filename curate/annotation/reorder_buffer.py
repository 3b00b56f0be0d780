"""Samples in work, in their order, and how much of what is done with them a kill may cost.

Rows reach the journals in the order of the samples, so that one slow sample holds back all that are finished behind it.
Nothing new begins while these are too many or have waited too long: then the engine may idle for a while, but a kill
costs no more.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine
from typing import Generic, TypeVar

T = TypeVar("T")

BACKLOG = 500
"""Samples of a worker that are begun and in no journal. With the journals' rows this stays below 1,000."""
PATIENCE_SECONDS = 30.0
"""How long a finished sample may wait for an earlier one. With the age of a journal's rows this is a minute."""


class Backlog:
    """How many samples are begun and not delivered, over all shards of a worker.

    Args:
        in_flight: samples that the engine may have at once; as many again may wait for an earlier one, in any case.
    """

    def __init__(self, in_flight: int) -> None:
        self.samples = 0
        self._most = max(BACKLOG, 2 * in_flight)

    @property
    def is_full(self) -> bool:
        """Whether an earlier sample has to be delivered before another is begun."""
        return self.samples >= self._most


class ReorderBuffer(Generic[T]):
    """The samples of one shard that are begun and not delivered, first come, first served."""

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._tasks: deque[asyncio.Task[T]] = deque()
        self._working: set[asyncio.Task[T]] = set()
        self._finished: dict[asyncio.Task[T], float] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, work: Coroutine[None, None, T]) -> None:
        """Start the work on the next sample."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._note)
        self._tasks.append(task)
        self._working.add(task)
        self._backlog.samples += 1

    @property
    def is_due(self) -> bool:
        """Whether the first sample is to be delivered, and waited for if need be, before another is begun."""
        return bool(self._tasks) and (self._tasks[0].done() or self._backlog.is_full or self._waits_too_long())

    @property
    def has_result(self) -> bool:
        """Whether the first sample has come to something that can be delivered."""
        first = self._tasks[0] if self._tasks else None
        return first is not None and first.done() and not first.cancelled() and first.exception() is None

    async def take(self) -> T:
        """What the first sample comes to; from then on it is the caller's."""
        result = await self._tasks[0]
        self._leave(self._tasks.popleft())
        return result

    async def cancel(self) -> None:
        """End the work on all samples, and wait until it has ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._tasks:
            self._leave(self._tasks.popleft())

    def _note(self, task: asyncio.Task[T]) -> None:
        if task in self._working:  # it may have been taken already: callbacks come after the end
            self._working.discard(task)
            self._finished[task] = time.monotonic()

    def _leave(self, task: asyncio.Task[T]) -> None:
        self._working.discard(task)
        self._finished.pop(task, None)
        self._backlog.samples -= 1

    def _waits_too_long(self) -> bool:
        oldest = next(iter(self._finished.values()), None)
        return oldest is not None and time.monotonic() - oldest >= PATIENCE_SECONDS
