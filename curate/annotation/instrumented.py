"""An engine and a pool of preparers that are timed, whatever they are."""

from __future__ import annotations

from time import perf_counter

from curate.annotation.preprocess_pool import Pool, Prepared
from curate.core.types import Answer, Question, Sample, Unaskable
from curate.engines.base import Engine, Payload, RendererFactory
from curate.telemetry.meter import Meter
from curate.telemetry.metrics import Gauge, Step


class InstrumentedEngine:
    """As `Engine`; tells `meter` what is in it and how long it takes."""

    def __init__(self, engine: Engine, meter: Meter) -> None:
        self._engine = engine
        self._meter = meter

    def renderer_factory(self) -> RendererFactory:
        """See `Engine`."""
        return self._engine.renderer_factory()

    async def start(self) -> None:
        """See `Engine`."""
        await self._engine.start()

    async def judge(self, payload: Payload, question: Question) -> Answer:
        """See `Engine`.

        Raises:
            RequestRejected, InputQuarantined, EngineDead: as the engine does.
        """
        with self._meter.asked():
            answer = await self._engine.judge(payload, question)
        self._meter.add(Step.SCORE, answer.score_seconds)
        self._meter.add(Step.CONTINUE, answer.continue_seconds)
        return answer

    def metrics(self) -> dict[str, float]:
        """See `Engine`."""
        return self._engine.metrics()

    async def close(self) -> None:
        """See `Engine`."""
        await self._engine.close()


class InstrumentedPool:
    """As `Pool`; tells `meter` what is in it, how long that takes, and how many bytes came and went."""

    def __init__(self, pool: Pool, meter: Meter) -> None:
        self._pool = pool
        self._meter = meter

    async def prepare(self, sample: Sample, questions: tuple[Question | Unaskable, ...]) -> Prepared:
        """See `Pool`."""
        started = perf_counter()
        with self._meter.levels[Gauge.PREPARING].inside():
            prepared = await self._pool.prepare(sample, questions)
        worked = prepared.decode_seconds + prepared.render_seconds
        self._meter.add(Step.LINE, perf_counter() - started - worked)
        self._meter.add(Step.DECODE, prepared.decode_seconds)
        self._meter.add(Step.RENDER, prepared.render_seconds)
        self._meter.bytes_read += len(sample.image or b"")
        self._meter.bytes_rendered += prepared.nbytes
        return prepared
