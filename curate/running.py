"""From settings to finished annotations on this machine: what `run` and `annotate` share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from curate import committing
from curate.annotate import Workshop
from curate.asking import asked_in_general, asking
from curate.earlier import EarlierRuns, check_earlier
from curate.engines import make_engine
from curate.engines.base import Engine
from curate.engines.dtype import AUTO, dtype_of_auto, settled
from curate.engines.supervised import SupervisedEngine
from curate.errors import EngineDead, InputError
from curate.filtering.calibrating import check_calibration
from curate.filtering.stage import check_settings, deciding_passes
from curate.fingerprint import Fingerprint, fingerprint
from curate.flow import Gate, beside
from curate.growing import FIRST, grow_while_starved, most_workers
from curate.ledger import Claims, committed, finished, worker_id
from curate.meter import Meter
from curate.metered import MeteredEngine, MeteredPool
from curate.metrics import Gauge
from curate.models import model_identity
from curate.node import Node, assign
from curate.open_store import open_store
from curate.phases import phase
from curate.places import Place, places_of
from curate.planning import make_plan
from curate.preparing import Limits, PreparerPool
from curate.progress import Awaited, Display, judging
from curate.recording import recording, write_total
from curate.rollup import Rollup
from curate.run_folder import BegunMeanwhile, Record, Run, open_run, read_record, recorded_dtype
from curate.settings import Settings
from curate.sharing import own_share
from curate.tally import Tally
from curate.types import ShardRef, Status
from curate.usual import LOADING, loading, usual_seconds
from curate.window import Backlog
from curate.worker import Outcome, Worker


def open_settings(settings: Settings) -> Run:
    """Plan, fingerprint, and open the run's folder; no engine is started.

    Raises:
        InputError: anything that can be known to be wrong before the engine starts.
    """
    try:
        return _open(settings)
    except BegunMeanwhile:
        return _open(settings)  # by another worker, whose number format is the run's now


def _open(settings: Settings) -> Run:
    check_settings(settings.filter, settings.dataset, settings.policies)
    store = open_store(settings.output.dir)
    recorded = read_record(store)
    settings = settle_dtype(settings, recorded)
    fingerprints = fingerprints_of(settings)
    check_calibration(settings.filter, fingerprints, deciding_passes(settings.filter, settings.passes))
    check_earlier(settings, fingerprints)
    with phase("listing the shards"):
        plan = make_plan(settings.dataset)
    return open_run(store, settings, plan, fingerprints, recorded)


def settle_dtype(settings: Settings, recorded: Record | None) -> Settings:
    """`settings` with the model's number format settled where it is left open: the run's own, else by this machine.

    Raises:
        InputError: see `curate.engines.dtype.settled`.
    """
    model, begun = settings.model, recorded_dtype(recorded, settings.passes)
    if model.dtype != AUTO:
        return settings
    model = settled(model, settings.engine) if begun is None else model.model_copy(update={"dtype": begun})
    return settings.model_copy(update={"model": model})


def reopen_for_retry(run: Run) -> int:
    """Make shards that hold a status of `retry` unfinished again; the number of rows to judge again.

    Raises:
        InputError: a status that does not exist or needs no second try.
    """
    known = sorted({s.value for s in Status} - {Status.LABELLED.value})
    unknown = sorted(set(run.settings.retry) - set(known))
    if unknown:
        raise InputError(f"retry: {unknown[0]!r} is no status that can be judged again; choose from {', '.join(known)}")
    again = frozenset(run.settings.retry)
    return sum(committing.reopen_for_retry(run.store, policy, again) for policy in run.settings.passes) if again else 0


def fingerprints_of(settings: Settings) -> dict[str, Fingerprint]:
    """The fingerprint of each pass, by its name."""
    model, engine = settings.model, settings.engine
    identity, own_dtype = model_identity(model), dtype_of_auto(model, engine)
    return {
        question.policy: fingerprint(question, model, identity, engine, settings.dataset, own_dtype=own_dtype)
        for question in asked_in_general(settings)
    }


def unfinished(run: Run) -> int:
    """Number of shards that some pass has no commit for."""
    done = finished(run.store, run.settings.passes)
    return sum(shard.id not in done for shard in run.plan.shards)


def annotate(run: Run) -> Outcome:
    """Be one worker on `run`, or one for each engine of this machine, until nothing is left.

    Nothing is started where nothing is left.

    Raises:
        Drained, BudgetExceeded, EngineDead, InputError: see `Worker.run` and `Node.run`.
    """
    if unfinished(run) == 0:
        return Outcome(tally=Tally(run.settings.budget), unreadable={})
    outcome = _annotate(run, own_share(run))
    write_total(run.store)
    return outcome


def _annotate(run: Run, shards: Sequence[ShardRef]) -> Outcome:
    places = places_of(run.settings.engine)
    if len(places) > 1:
        return _annotate_in_processes(run, places, shards)
    left = _left(run)
    return asyncio.run(work(run, shards, lambda tally: judging(tally, left)))


def _annotate_in_processes(run: Run, places: Sequence[Place], shards: Sequence[ShardRef]) -> Outcome:
    tally = Tally(run.settings.budget)
    node = Node(tally)
    usual = usual_seconds(run.settings.model, run.settings.engine)
    what = f"{LOADING} in {len(places)} processes"
    display = Awaited(judging(tally, _left(run)), what, usual, lambda: node.has_begun)
    outcome = node.run(assign(run, places, shards), display)
    left = unfinished(run) - len(outcome.unreadable)
    if node.losses and left > 0:
        raise EngineDead(f"{'; '.join(node.losses)}; {left} shards are left: run the same command again to go on")
    return outcome


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


def _left(run: Run) -> int | None:
    """Rows that are left to write, where the length of every unfinished shard is known."""
    done = {policy: committed(run.store, policy) for policy in run.settings.passes}
    left = [s.take or s.samples for ids in done.values() for s in run.plan.shards if s.id not in ids]
    known = [n for n in left if n is not None]
    return sum(known) if len(known) == len(left) else None
