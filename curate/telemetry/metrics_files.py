"""Where measurements go: one file a worker with its sums, one with a line a second, and the sums of all workers.

    metrics/workers/<worker>.json          replaced now and then while it works, last at its end
    metrics/seconds/<worker>.<n>.jsonl     a line a second, the last for what was left of one; an object grows to
                                           `SEGMENT` lines, then the next begins
    metrics/total.json                     all workers that ever worked on the folder, folded

Nothing is written more often than a heartbeat, since the folder may be a bucket; a kill costs the lines since then.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict

from curate.core.errors import StorageFailed
from curate.core.threads import beside, uninterrupted
from curate.engines.base import Engine
from curate.runs.fingerprint import Fingerprint
from curate.runs.run_folder import Run
from curate.settings.run import Settings
from curate.settings.secrets import masked_engine
from curate.storage.store import Store
from curate.telemetry.meter import Meter
from curate.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

WORKERS = "metrics/workers"
SECONDS = "metrics/seconds"
TOTAL = "metrics/total.json"
TOTAL_TRIES = 4
SEGMENT = 1800


def setup_of(settings: Settings, fingerprints: Mapping[str, Fingerprint]) -> str:
    """Digest of what a worker's speed depends on, as far as the settings tell: rates of another say nothing."""
    parts = {
        "fingerprints": {name: f.digest for name, f in fingerprints.items()},
        "engine": masked_engine(settings.engine),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def read_metrics(store: Store, setup: str | None = None) -> Metrics:
    """The sums of all workers of a run's folder, or of those that worked with `setup`."""
    records = (json.loads(store.read(f"{WORKERS}/{name}")) for name in store.names(WORKERS))
    return sum((Metrics(**r["metrics"]) for r in records if setup in (None, r["setup"])), Metrics())


def write_total(store: Store) -> Metrics:
    """Fold all workers into `TOTAL`; again where one wrote meanwhile, so that the last to end leaves the whole.

    Only a few times: where many are still at work somebody always has, and each of them does this at its own end.
    """
    for _ in range(TOTAL_TRIES):
        metrics = read_metrics(store)
        store.replace(TOTAL, json.dumps(asdict(metrics), indent=1).encode())
        if read_metrics(store) == metrics:
            break
    return metrics


@asynccontextmanager
async def recording(run: Run, worker: str, meter: Meter, engine: Engine) -> AsyncIterator[None]:
    """Write what `meter` measures of `worker`, and the engine's counters, as long as this lasts and at its end."""
    recorder = _Recorder(run, worker, meter, engine)
    try:
        async with beside(recorder.sample()), beside(recorder.write_regularly(run.settings.job.lease / 4)):
            yield
    finally:
        recorder.add_line()
        await recorder.write()


class _Recorder:
    def __init__(self, run: Run, worker: str, meter: Meter, engine: Engine) -> None:
        self._store = run.store
        self._setup = setup_of(run.settings, run.fingerprints)
        self._worker = worker
        self._meter = meter
        self._engine = engine
        self._told = meter.running()
        self._lines: list[str] = []
        self._segment = 0

    async def sample(self) -> None:
        """A line a second, until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            self.add_line()

    def add_line(self) -> None:
        """What came since the last line."""
        now = self._meter.running()
        self._lines.append(json.dumps({"time": round(time.time(), 2)} | now.since(self._told)))
        self._told = now

    async def write_regularly(self, every: float) -> None:
        """`write`, until cancelled. What fails is no reason to stop: the next time, or the last, writes it again."""
        while True:
            await asyncio.sleep(every)
            try:
                await self.write()
            except StorageFailed as error:
                logger.warning("measurements will be written later: %s", error)

    async def write(self) -> None:
        """Write the sums, and the lines of the segment that grows."""
        metrics = asdict(self._meter.snapshot(self._engine.metrics()))
        sums = {"worker": self._worker, "setup": self._setup, "time": time.time(), "metrics": metrics}
        lines = list(self._lines)
        await uninterrupted(self._replace, json.dumps(sums, indent=1), "".join(f"{line}\n" for line in lines))
        if len(lines) >= SEGMENT:
            del self._lines[: len(lines)]
            self._segment += 1

    def _replace(self, sums: str, lines: str) -> None:
        self._store.replace(f"{WORKERS}/{self._worker}.json", sums.encode())
        if lines:
            self._store.replace(f"{SECONDS}/{self._worker}.{self._segment:04d}.jsonl", lines.encode())
