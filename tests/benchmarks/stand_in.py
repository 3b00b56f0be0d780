"""An engine that answers at a set rate and counts when it had nothing to do, fed with what vLLM would be fed with.

The pictures are decoded and rendered as for the real engine (its image processor and tokens); only the model is left
out. What the real engine does with a payload in the event loop, unpickling it, is done here, too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from curate.core.types import Answer, Question
from curate.engines.base import Payload, RendererFactory
from curate.engines.factory import ENGINES
from curate.engines.fake import FakeEngine
from curate.engines.shared_picture import unpacked
from curate.engines.vllm_engine import VllmEngine
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings

NAME = "stand-in"


class StandIn:
    """As `curate.engines.base.Engine`; `engine.args.rate` is in images a second, unbounded without it."""

    def __init__(self, model: ModelSettings, engine: EngineSettings) -> None:
        self._fake = FakeEngine(model, engine)
        self._real = VllmEngine(model, engine.model_copy(update={"args": {}}))  # never started
        self._answered: list[float] = []

    def renderer_factory(self) -> RendererFactory:
        return self._real.renderer_factory()

    async def start(self) -> None:
        await self._fake.start()

    async def judge(self, payload: Payload, question: Question) -> Answer:
        (pixels,) = unpacked(payload.data)["mm_hashes"]["image"]  # vLLM's own digest of them
        answer = await self._fake.judge(replace(payload, data=pixels), question)
        self._answered.append(time.perf_counter())
        return answer

    def metrics(self) -> dict[str, float]:
        return self._fake.metrics()

    async def close(self) -> None:
        await self._fake.close()

    @property
    def seconds_an_answer(self) -> float:
        """Mean, from the first answer to the last."""
        return (self._answered[-1] - self._answered[0]) / (len(self._answered) - 1)

    @property
    def idle_share(self) -> float:
        """Share of the time since the first request in which it had nothing to do; 0 where it has no rate."""
        idle, busy = (self.metrics()[f"{state}_seconds"] for state in ("idle", "busy"))
        return idle / (idle + busy) if busy else 0.0


@contextmanager
def built() -> Iterator[list[StandIn]]:
    """Makes `engine.name=stand-in` an engine that can be chosen; those that were built."""
    engines: list[StandIn] = []

    def make(model: ModelSettings, engine: EngineSettings) -> StandIn:
        engines.append(StandIn(model, engine))
        return engines[-1]

    assert isinstance(ENGINES, dict)
    ENGINES[NAME] = make
    try:
        yield engines
    finally:
        del ENGINES[NAME]
