"""How far a run is, read from its folder alone: a few files a worker, whatever the number of shards."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curate.runs.claims import LOADING, WORKERS, Claims
from curate.runs.commits import committed
from curate.runs.rollup import FinishedShards, Flags, together
from curate.runs.run_folder import Run, load_run
from curate.runs.shard_failures import ShardFailure, count_failures, read_failures
from curate.storage.store import Store

SILENCE_SECONDS = 60.0
FAILURES_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProgress:
    """What a live worker last said of itself.

    Attributes:
        statuses: rows by status since the worker started.
        rate: rows a second since the worker started.
        silent: seconds since it was heard; by two machines' clocks, so good for showing and nothing else.
        loading: seconds for which it has loaded its model; None once it has.
    """

    worker: str
    statuses: Mapping[str, int]
    rate: float
    silent: float
    loading: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Progress of a run.

    Attributes:
        shards: number planned.
        done: number finished, by policy.
        exact: whether commits were counted; else `done` is what the workers last said, up to a heartbeat ago.
        running, stale: claims of live workers, and of workers that are gone.
        workers: the live ones.
        failed: number of shards that could not be read, or not to their end.
        failures: the first `FAILURES_SHOWN` of them.
        rate: rows a second over all live workers.
        eta: seconds until the end at that rate, None where nothing tells. Where a shard's length is unknown until it is
            read, it is taken to be that of the finished ones.
    """

    shards: int
    done: Mapping[str, int]
    exact: bool
    running: int
    stale: int
    workers: tuple[WorkerProgress, ...]
    failed: int
    failures: tuple[ShardFailure, ...]
    rate: float
    eta: float | None


def read_status(folder: str | Path, *, exact: bool = False) -> Status:
    """Progress of the run in `folder`.

    Args:
        folder: the run's folder.
        exact: list the commits, which on an object store takes a request for every thousand of them, rather than
            believe the workers.

    Raises:
        InputError: there is no run.
    """
    run = load_run(folder)
    records = _records(run.store)
    known = together(run.store, [r["progress"] for r in records.values()], len(run.plan.shards))
    exact = exact or known is None or not run.fingerprints.keys() <= known.finished.keys()
    done = _counted(run) if exact or known is None else known.finished
    workers = _live_workers(run.store, records)
    running, stale = _claims(run, {worker.worker for worker in workers})
    rate = sum(worker.rate for worker in workers)
    return Status(
        shards=len(run.plan.shards),
        done={policy: int(done[policy].sum()) for policy in run.fingerprints},
        exact=exact,
        running=running,
        stale=stale,
        workers=workers,
        failed=count_failures(run.store),
        failures=tuple(read_failures(run.store, FAILURES_SHOWN)),
        rate=rate,
        eta=_eta(run, done, known, rate),
    )


def _records(store: Store) -> dict[str, Mapping[str, Any]]:
    """What every worker last said, by its id."""
    return {name.removesuffix(".json"): json.loads(store.read(f"{WORKERS}/{name}")) for name in store.names(WORKERS)}


def _counted(run: Run) -> dict[str, Flags]:
    """The commits, listed."""
    shards = [shard.id for shard in run.plan.shards]
    listed = {policy: committed(run.store, policy) for policy in run.fingerprints}
    return {policy: np.array([shard in ids for shard in shards], dtype=np.bool_) for policy, ids in listed.items()}


def _claims(run: Run, live: set[str]) -> tuple[int, int]:
    """Number of claims on shards by live workers, and by others."""
    planned = {shard.id for shard in run.plan.shards}
    holders = [worker for shard, worker in Claims(run.store, "status").held().items() if shard in planned]
    running = sum(worker in live for worker in holders)
    return running, len(holders) - running


def _eta(run: Run, done: Mapping[str, Flags], known: FinishedShards | None, rate: float) -> float | None:
    if rate <= 0:
        return None
    typical = np.nan if known is None or known.rows is None else known.rows
    lengths = np.array([_length(s.take, s.samples, typical) for s in run.plan.shards], dtype=np.float64)
    left = sum(float(lengths[~flags].sum()) for flags in done.values())
    return None if np.isnan(left) else left / rate


def _length(take: int | None, samples: int | None, typical: float) -> float:
    return next((float(n) for n in (take, samples) if n is not None), typical)


def _live_workers(store: Store, records: Mapping[str, Mapping[str, Any]]) -> tuple[WorkerProgress, ...]:
    """Workers that were heard lately and, where this can be told, whose process is there."""
    claims = Claims(store, "status")
    found = []
    for worker, record in records.items():
        progress = record["progress"]
        silent = time.time() - record["time"]
        if silent < SILENCE_SECONDS and not record["ended"] and claims.alive(worker):
            rate = progress.get("rows", 0) / max(1e-9, progress.get("seconds", 0.0))
            statuses, since = progress.get("statuses", {}), progress.get(LOADING)
            loading = None if since is None else since + max(0.0, silent)
            found.append(WorkerProgress(worker=worker, statuses=statuses, rate=rate, silent=silent, loading=loading))
    return tuple(found)
