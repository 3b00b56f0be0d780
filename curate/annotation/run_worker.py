"""One worker from its engine's start to its end: what it needs is built, loaded and closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from curate.annotation.annotate_shard import WorkerContext
from curate.annotation.autoscale import FIRST, add_workers_while_starved, most_workers
from curate.annotation.backpressure import Gate
from curate.annotation.instrumented import InstrumentedEngine, InstrumentedPool
from curate.annotation.label_reuse import LabelReuse
from curate.annotation.preprocess_pool import Limits, PreprocessPool
from curate.annotation.reorder_buffer import Backlog
from curate.annotation.worker import Outcome, Worker
from curate.core.threads import beside
from curate.core.types import ShardRef
from curate.engines.base import Engine
from curate.engines.factory import make_engine
from curate.engines.load_times import loading
from curate.engines.supervised import SupervisedEngine
from curate.judges.questions import questions_for
from curate.runs.claims import LOADING, Claims, heartbeat, worker_id
from curate.runs.rollup import Rollup
from curate.runs.run_folder import Run
from curate.settings.run import DRAWN, FAKE, Settings
from curate.telemetry.failure_budget import Tally
from curate.telemetry.meter import Meter
from curate.telemetry.metrics import Gauge
from curate.telemetry.metrics_files import recording
from curate.telemetry.progress import Display


async def run_worker(run: Run, shards: Sequence[ShardRef], display: Callable[[Tally], Display]) -> Outcome:
    """Be one worker with an engine of its own.

    Args:
        run: opened.
        shards: those it may take.
        display: builds what shows the counts.

    Raises:
        Drained, BudgetExceeded, EngineDead, InputError: see `Worker.run`.
    """
    settings = run.settings
    meter = Meter()
    engine = InstrumentedEngine(SupervisedEngine(lambda: make_engine(settings.model, settings.engine)), meter)
    claims = Claims(run.store, worker_id(), lease=settings.job.lease)
    label_reuse = await asyncio.to_thread(LabelReuse, settings.reuse, run.fingerprints)
    async with _pool(settings, engine, meter) as pool:
        try:
            began = time.monotonic()
            told = heartbeat(claims, lambda: {LOADING: time.monotonic() - began}, lambda failure: None)
            with told, loading(settings.model, settings.engine):
                await load(engine, pool)
            context = _context(run, claims.worker, engine, pool, label_reuse, meter)
            rollup = Rollup(run.store, run.plan.shards, run.fingerprints)
            worker = Worker(shards, context, claims, display(context.tally), rollup)
            async with recording(run, claims.worker, meter, engine):
                await worker.run()
        finally:
            label_reuse.close()
            await engine.close()
    return Outcome(tally=context.tally, unreadable=worker.unreadable)


def _context(
    run: Run, worker: str, engine: Engine, pool: PreprocessPool, label_reuse: LabelReuse, meter: Meter
) -> WorkerContext:
    settings = run.settings
    return WorkerContext(
        store=run.store,
        dataset=settings.dataset,
        questions_for=questions_for(settings, run.store),
        fingerprints={name: f.digest for name, f in run.fingerprints.items()},
        plan_hash=run.plan.plan_hash,
        worker=worker,
        engine=engine,
        pool=InstrumentedPool(pool, meter),
        label_reuse=label_reuse,
        gate=Gate(settings.engine.max_requests, settings.engine.max_bytes),
        backlog=Backlog(settings.engine.max_requests),
        shards_in_flight=settings.engine.shards_in_flight,
        labels=DRAWN if settings.engine.name == FAKE else None,
        tally=Tally(settings.budget),
        meter=meter,
    )


@asynccontextmanager
async def _pool(settings: Settings, engine: Engine, meter: Meter) -> AsyncIterator[PreprocessPool]:
    """Preparers as the settings want them; "auto" begins with few and adds some while the engine gets too little."""
    limits = Limits.of(settings.dataset)
    workers = settings.engine.workers
    most = most_workers() if workers == "auto" else workers
    first = min(FIRST, most) if workers == "auto" else workers
    async with PreprocessPool(engine.renderer_factory(), limits, workers=first, most=most) as pool:
        meter.levels[Gauge.PREPARERS].change(pool.workers)
        async with beside(add_workers_while_starved(pool, meter, most)):
            yield pool


async def load(engine: Engine, pool: PreprocessPool) -> None:
    """Load the model and, meanwhile, the workers' image processors, so that the first image waits for neither.

    Raises:
        InputError, EngineDead: as the two do; only when both have ended, so that nothing starts behind a closed door.
    """
    ends = await asyncio.gather(engine.start(), pool.warm_up(), return_exceptions=True)
    for end in ends:
        if end is not None:
            raise end
