"""The annotate stage on this machine: one worker, or one for each engine, until nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from curate.annotation.run_worker import run_worker
from curate.annotation.worker import Outcome
from curate.core.errors import EngineDead, InputError
from curate.core.types import ShardRef, Status
from curate.engines.load_times import LOADING, usual_seconds
from curate.launch.device_placement import Placement, placements
from curate.launch.node import Node, assign
from curate.launch.static_sharding import own_shards
from curate.runs.commits import committed, finished
from curate.runs.reopening import reopen_for_retry as reopen
from curate.runs.run_folder import Run
from curate.telemetry.failure_budget import Tally
from curate.telemetry.metrics_files import write_total
from curate.telemetry.progress import Awaited, judging


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
    lease = run.settings.job.lease
    return sum(reopen(run.store, policy, again, lease) for policy in run.settings.passes) if again else 0


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
    outcome = _annotate(run, own_shards(run))
    write_total(run.store)
    return outcome


def _annotate(run: Run, shards: Sequence[ShardRef]) -> Outcome:
    placed = placements(run.settings.engine)
    if len(placed) > 1:
        return _annotate_in_processes(run, placed, shards)
    left = _left(run)
    return asyncio.run(run_worker(run, shards, lambda tally: judging(tally, left)))


def _annotate_in_processes(run: Run, placed: Sequence[Placement], shards: Sequence[ShardRef]) -> Outcome:
    tally = Tally(run.settings.budget)
    node = Node(tally)
    usual = usual_seconds(run.settings.model, run.settings.engine)
    what = f"{LOADING} in {len(placed)} processes"
    display = Awaited(judging(tally, _left(run)), what, usual, lambda: node.has_begun)
    outcome = node.run(assign(run, placed, shards), display)
    left = unfinished(run) - len(outcome.unreadable)
    if node.losses and left > 0:
        raise EngineDead(f"{'; '.join(node.losses)}; {left} shards are left: run the same command again to go on")
    return outcome


def _left(run: Run) -> int | None:
    """Rows that are left to write, where the length of every unfinished shard is known."""
    done = {policy: committed(run.store, policy) for policy in run.settings.passes}
    left = [s.take or s.samples for ids in done.values() for s in run.plan.shards if s.id not in ids]
    known = [n for n in left if n is not None]
    return sum(known) if len(known) == len(left) else None
