"""An engine that survives its own death: restarted with back-off, what was in flight replayed, the killer quarantined.

Everything in flight when the engine dies is a suspect. Suspects are replayed one at a time, while new requests wait:
the one that is alone in the engine when that dies is the culprit. One at a time costs at most two restarts for one bad
input; halving would need a restart for every half, and a restart costs more than a hundred requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from curate.core.errors import EngineDead, InputQuarantined
from curate.core.types import Answer, Question
from curate.engines.base import Engine, Payload, RendererFactory

logger = logging.getLogger(__name__)

ALONE_TRIES = 2
"""How often an input may be alone in a dying engine: once may be another's doing, e.g. the kernel's."""
MAX_RESTARTS = 5
"""Restarts in a row without a single answer in between, after which the engine is given up."""


class SupervisedEngine:
    """As `Engine`, over engines that `make` builds one after the other.

    Args:
        make: builds an engine that was never started.
        back_off: seconds before the first restart in a row; doubles with each.
    """

    def __init__(self, make: Callable[[], Engine], *, back_off: float = 1.0) -> None:
        self._make = make
        self._back_off = back_off
        self._engine = make()
        self._generation = 0
        self._restarts = 0
        self._restarts_in_a_row = 0
        self._suspects = 0
        self._clear = asyncio.Event()
        self._clear.set()
        self._alone = asyncio.Lock()
        self._before: Counter[str] = Counter()
        self._restarting: asyncio.Task[None] | None = None

    def renderer_factory(self) -> RendererFactory:
        """See `Engine`."""
        return self._engine.renderer_factory()

    async def start(self) -> None:
        """See `Engine`."""
        await self._engine.start()

    async def judge(self, payload: Payload, question: Question) -> Answer:
        """See `Engine`.

        Raises:
            RequestRejected: as the engine does.
            InputQuarantined: this input kills the engine whenever it is alone in it.
            EngineDead: the engine cannot be kept alive.
        """
        await self._clear.wait()
        generation = self._generation
        try:
            return self._alive(await self._engine.judge(payload, question))
        except EngineDead as error:
            logger.warning("the engine died: %s", error)
            return await self._judge_suspect(payload, question, generation)

    def metrics(self) -> dict[str, float]:
        """See `Engine`, over all the engines there were; and the number of restarts."""
        now = Counter(self._engine.metrics())
        now.update(self._before)
        return {**now, "restarts": self._restarts}

    async def close(self) -> None:
        """See `Engine`; a restart that has begun ends first, so that no engine starts behind a closed door."""
        if self._restarting is not None:
            await asyncio.wait([self._restarting])
        await self._engine.close()

    async def _judge_suspect(self, payload: Payload, question: Question, generation: int) -> Answer:
        self._suspects += 1
        self._clear.clear()
        try:
            async with self._alone:
                return await self._judge_alone(payload, question, generation)
        finally:
            self._suspects -= 1
            if not self._suspects:
                self._clear.set()

    async def _judge_alone(self, payload: Payload, question: Question, generation: int) -> Answer:
        for _ in range(ALONE_TRIES):
            await self._restart_after(generation)
            generation = self._generation
            try:
                return self._alive(await self._engine.judge(payload, question))
            except EngineDead as error:
                reason = str(error)
        raise InputQuarantined(f"the engine died {ALONE_TRIES} times with this input alone in it: {reason}")

    async def _restart_after(self, generation: int) -> None:
        """Restart the engine, if that of `generation` is still the current one.

        Whoever waits may be cancelled; a restart is not left half done for that.
        """
        if generation != self._generation:
            return
        if self._restarting is None or self._restarting.done():
            self._restarting = asyncio.create_task(self._restart(generation))
        await asyncio.shield(self._restarting)

    async def _restart(self, generation: int) -> None:
        while generation == self._generation:
            if self._restarts_in_a_row >= MAX_RESTARTS:
                raise EngineDead(f"the engine was restarted {MAX_RESTARTS} times in a row without giving an answer")
            self._before.update(self._engine.metrics())
            await self._engine.close()
            await asyncio.sleep(self._back_off * 2**self._restarts_in_a_row)
            self._restarts_in_a_row += 1
            self._restarts += 1
            self._engine = self._make()
            try:
                await self._engine.start()
            except EngineDead as error:
                logger.warning("the engine died while starting: %s", error)
                continue
            self._generation += 1

    def _alive(self, answer: Answer) -> Answer:
        self._restarts_in_a_row = 0
        return answer
