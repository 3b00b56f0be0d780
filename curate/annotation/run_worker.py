"""One worker from its engine's start to its end: what it needs is built, loaded and closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from curate.annotation.autoscale import FIRST, grow_while_starved, most_workers
from curate.annotation.backpressure import Gate
from curate.annotation.instrumented import MeteredEngine, MeteredPool
from curate.annotation.label_reuse import EarlierRuns
from curate.annotation.preprocess_pool import Limits, PreparerPool
from curate.annotation.reorder_buffer import Backlog
from curate.annotation.shard import Workshop
from curate.annotation.worker import Outcome, Worker
from curate.core.threads import beside
from curate.core.types import ShardRef
from curate.engines.base import Engine
from curate.engines.factory import make_engine
from curate.engines.load_times import loading
from curate.engines.supervised import SupervisedEngine
from curate.judges.questions import asking
from curate.runs.claims import Claims, worker_id
from curate.runs.rollup import Rollup
from curate.runs.run_folder import Run
from curate.settings.run import Settings
from curate.telemetry.failure_budget import Tally
from curate.telemetry.meter import Meter
from curate.telemetry.metrics import Gauge
from curate.telemetry.metrics_files import recording
from curate.telemetry.progress import Display


async def work(run: Run, shards: Sequence[ShardRef], display: Callable[[Tally], Display]) -> Outcome:
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
    engine = MeteredEngine(SupervisedEngine(lambda: make_engine(settings.model, settings.engine)), meter)
    claims = Claims(run.store, worker_id(), lease=settings.job.lease)
    earlier = await asyncio.to_thread(EarlierRuns, settings.reuse, run.fingerprints)
    async with _pool(settings, engine, meter) as pool:
        try:
            with loading(settings.model, settings.engine):
                await load(engine, pool)
            shop = _workshop(run, claims.worker, engine, pool, earlier, meter)
            rollup = Rollup(run.store, run.plan.shards, run.fingerprints)
            worker = Worker(shards, shop, claims, display(shop.tally), rollup)
            async with recording(run, claims.worker, meter, engine):
                await worker.run()
        finally:
            earlier.close()
            await engine.close()
    return Outcome(tally=shop.tally, unreadable=worker.unreadable)


def _workshop(
    run: Run, worker: str, engine: Engine, pool: PreparerPool, earlier: EarlierRuns, meter: Meter
) -> Workshop:
    settings = run.settings
    return Workshop(
        store=run.store,
        dataset=settings.dataset,
        asking=asking(settings, run.store),
        fingerprints={name: f.digest for name, f in run.fingerprints.items()},
        plan_hash=run.plan.plan_hash,
        worker=worker,
        engine=engine,
        pool=MeteredPool(pool, meter),
        earlier=earlier,
        gate=Gate(settings.engine.max_requests, settings.engine.max_bytes),
        backlog=Backlog(settings.engine.max_requests),
        lanes=settings.engine.shards_in_flight,
        tally=Tally(settings.budget),
        meter=meter,
    )


@asynccontextmanager
async def _pool(settings: Settings, engine: Engine, meter: Meter) -> AsyncIterator[PreparerPool]:
    """Preparers as the settings want them; "auto" begins with few and adds some while the engine gets too little."""
    limits = Limits.of(settings.dataset)
    workers = settings.engine.workers
    most = most_workers() if workers == "auto" else workers
    first = min(FIRST, most) if workers == "auto" else workers
    async with PreparerPool(engine.renderer_factory(), limits, workers=first, most=most) as pool:
        meter.levels[Gauge.PREPARERS].change(pool.lanes)
        async with beside(grow_while_starved(pool, meter, most)):
            yield pool


async def load(engine: Engine, pool: PreparerPool) -> None:
    """Load the model and, meanwhile, the workers' image processors, so that the first image waits for neither.

    Raises:
        InputError, EngineDead: as the two do; only when both have ended, so that nothing starts behind a closed door.
    """
    ends = await asyncio.gather(engine.start(), pool.warm_up(), return_exceptions=True)
    for end in ends:
        if end is not None:
            raise end
