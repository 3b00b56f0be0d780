"""How far a run is, read from its folder alone."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from curate.failures import ShardFailure, read_failures
from curate.ledger import WORKERS, Claims, committed
from curate.run_folder import load_run
from curate.store import Store

SILENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProgress:
    """What a live worker last said of itself.

    Attributes:
        statuses: rows by status since the worker started.
        rate: rows a second since the worker started.
        silent: seconds since it was heard; by two machines' clocks, so good for showing and nothing else.
    """

    worker: str
    statuses: Mapping[str, int]
    rate: float
    silent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Progress of a run.

    Attributes:
        shards: number planned.
        done: number finished, by policy.
        running, stale: claims of live workers, and of workers that are gone.
        workers: the live ones.
        failures: shards that could not be read, or not to their end.
        rate: rows a second over all live workers.
        eta: seconds until the end at that rate, None where nothing tells.
    """

    shards: int
    done: Mapping[str, int]
    running: int
    stale: int
    workers: tuple[WorkerProgress, ...]
    failures: tuple[ShardFailure, ...]
    rate: float
    eta: float | None


def read_status(folder: str | Path) -> Status:
    """Progress of the run in `folder`.

    Raises:
        InputError: there is no run.
    """
    run = load_run(folder)
    done = {policy: committed(run.store, policy) for policy in run.fingerprints}
    workers = _live_workers(run.store)
    names = {w.worker for w in workers}
    holders = Claims(run.store, "status").held()
    rate = sum(w.rate for w in workers)
    left = [s.samples for s in run.plan.shards for d in done.values() if s.id not in d]
    known = [n for n in left if n is not None]
    eta = sum(known) / rate if rate > 0 and len(known) == len(left) else None
    return Status(
        shards=len(run.plan.shards),
        done={policy: len(ids) for policy, ids in done.items()},
        running=sum(1 for worker in holders.values() if worker in names),
        stale=sum(1 for worker in holders.values() if worker not in names),
        workers=workers,
        failures=tuple(read_failures(run.store)),
        rate=rate,
        eta=eta,
    )


def _live_workers(store: Store) -> tuple[WorkerProgress, ...]:
    """Workers that were heard lately and, where this can be told, whose process is there."""
    claims = Claims(store, "status")
    found = []
    for name in store.names(WORKERS):
        record = json.loads(store.read(f"{WORKERS}/{name}"))
        worker, progress = name.removesuffix(".json"), record["progress"]
        silent = time.time() - record["time"]
        if silent < SILENCE_SECONDS and not record["ended"] and claims.alive(worker):
            rate = progress.get("rows", 0) / max(1e-9, progress.get("seconds", 0.0))
            found.append(WorkerProgress(worker=worker, statuses=progress.get("statuses", {}), rate=rate, silent=silent))
    return tuple(found)
