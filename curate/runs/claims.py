"""Who works on which shard: claims with leases.

A claim is a file created if absent, `work/claims/<shard-id>.<epoch>.json`. A worker proves that it lives by changing
its one heartbeat file, `work/workers/<worker-id>.json`; others watch with their own monotonic clock for that change,
so no machine's time of day is ever compared with another's. A stale claim is taken over by creating the next epoch,
which only one can do. None of this protects the result: that is done by publishing create-if-absent, by commits, and by
asking for the claim again before each step that others would see (`results`), so a worker that lost its lease without
noticing does double work at worst.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.core.errors import StorageFailed
from curate.runs.journal import saved_rows
from curate.storage.store import Store

CLAIMS = "work/claims"
WORKERS = "work/workers"


class ClaimLost(Exception):
    """Another worker has taken the shard over: this one leaves it as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to work on a shard, for as long as the worker's heartbeat goes on.

    Attributes:
        shard: its id.
        epoch: how often it changed hands without having been given back.
        losses: workers that were lost with the shard one after the other, without a row more for it.
    """

    shard: str
    epoch: int
    losses: int = 0

    @property
    def name(self) -> str:
        """Name of the claim's file in the run's folder."""
        return f"{CLAIMS}/{self.shard}.{self.epoch:06d}.json"


class Claims:
    """One worker's view of who holds what.

    Args:
        store: the run's folder.
        worker: this worker's id, unique over all machines and restarts.
        lease: seconds without a changed heartbeat after which a worker counts as gone.
    """

    def __init__(self, store: Store, worker: str, *, lease: float = 60.0) -> None:
        self.worker = worker
        self.lease = lease
        self._store = store
        self._beats = 0
        self._seen: dict[str, tuple[bytes, float]] = {}

    def beat(self, progress: Mapping[str, Any], *, ended: bool = False) -> None:
        """Renew every lease of this worker, and publish its progress for `status`; the time is for showing only."""
        self._beats += 1
        record = {
            "beat": self._beats,
            "ended": ended,
            "time": time.time(),
            "place": _place(),
            "progress": dict(progress),
        }
        self._store.replace(f"{WORKERS}/{self.worker}.json", json.dumps(record).encode())

    def newest(self) -> dict[str, Claim]:
        """The claim in force for each shard that has one, from a single listing."""
        claims: dict[str, Claim] = {}
        for name in self._store.names(CLAIMS):
            shard, epoch, _ = name.rsplit(".", 2)
            if shard not in claims or claims[shard].epoch < int(epoch):
                claims[shard] = Claim(shard=shard, epoch=int(epoch))
        return claims

    def take(self, shard: str, claims: Mapping[str, Claim] | None = None) -> Claim | None:
        """Claim `shard`, or take over a stale claim; None while another live worker holds it.

        Args:
            shard: its id.
            claims: what `newest` found a moment ago, where many shards are tried after one listing. That it ages does
                no harm: what others claimed meanwhile exists, and is not created a second time.
        """
        current = (self.newest() if claims is None else claims).get(shard)
        if current is not None and not self._stale(current):
            return None
        claim, saved = self._next(shard, current)
        record = {"worker": self.worker, "losses": claim.losses, "saved": saved}
        if not self._store.create(claim.name, json.dumps(record).encode()):
            return None
        if current is not None:
            self._store.delete(current.name)
        return claim

    def _next(self, shard: str, current: Claim | None) -> tuple[Claim, int]:
        """The claim behind a stale one, and the rows that are saved so far."""
        if current is None:
            return Claim(shard=shard, epoch=0), 0
        record, saved = _read_json(self._store, current.name), saved_rows(self._store, shard)
        losses = 1 if saved > record.get("saved", 0) else record.get("losses", 0) + 1
        return Claim(shard=shard, epoch=current.epoch + 1, losses=losses), saved

    def take_in_time(self, shard: str) -> Claim | None:
        """`take`, with a dead worker's claim waited out; None as soon as its holder is seen to live."""
        watched: dict[str, bytes] = {}
        while (claim := self.take(shard)) is None:
            worker = holder(self._store, shard) or ""
            beat = self._beat_of(worker)
            if beat and (watched.setdefault(worker, beat) != beat or _is_running(json.loads(beat)["place"])):
                return None
            time.sleep(min(1.0, self.lease / 8))
        return claim

    def release(self, claim: Claim) -> None:
        """Give a shard back, finished or not."""
        self._store.delete(claim.name)

    def held(self) -> dict[str, str]:
        """Shard id to worker id of every claim there is, stale ones included."""
        holders: dict[str, str] = {}
        for name in self._store.names(CLAIMS):
            shard = name.rsplit(".", 2)[0]
            worker = _read_json(self._store, f"{CLAIMS}/{name}").get("worker")
            if worker:
                holders[shard] = worker
        return holders

    def _stale(self, claim: Claim) -> bool:
        worker = _read_json(self._store, claim.name).get("worker", "")
        return worker != self.worker and not self.alive(worker)

    def alive(self, worker: str) -> bool:
        """Whether `worker` was seen to live within the lease, as far as this process can tell."""
        beat = self._beat_of(worker)
        if beat and _known_dead(json.loads(beat)["place"]):
            return False
        last, since = self._seen.get(worker, (None, 0.0))
        if beat != last:
            self._seen[worker] = (beat, time.monotonic())
            return True
        return time.monotonic() - since < self.lease

    def _beat_of(self, worker: str) -> bytes:
        try:
            return self._store.read(f"{WORKERS}/{worker}.json")
        except FileNotFoundError:
            return b""


def holder(store: Store, shard: str) -> str | None:
    """The worker whose claim on `shard` is in force; None where there is no claim."""
    epochs = [name for name in store.names(CLAIMS) if name.rsplit(".", 2)[0] == shard]
    newest = max(epochs, default=None)
    return None if newest is None else _read_json(store, f"{CLAIMS}/{newest}").get("worker")


LOADING = "loading"
"""What a worker tells of itself while it loads its model: for how many seconds it has."""


@contextmanager
def heartbeat(
    claims: Claims, progress: Callable[[], Mapping[str, Any]], failed: Callable[[StorageFailed], object]
) -> Iterator[None]:
    """Beat for `claims` as long as this lasts: at its start, four times in each lease, and at its end.

    Args:
        claims: of this process.
        progress: what is told with each beat; asked in the thread.
        failed: told in the thread that a beat could not be written; none follows but the last.

    Raises:
        StorageFailed: the first or the last beat cannot be written.
    """
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(claims.lease / 4):
            try:
                claims.beat(progress())
            except StorageFailed as error:
                failed(error)
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    claims.beat(progress())
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        claims.beat(progress(), ended=True)


def worker_id() -> str:
    """A new id for this process: readable, and unique over machines and restarts."""
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"


def _read_json(store: Store, name: str) -> dict[str, Any]:
    try:
        record = json.loads(store.read(name))
    except FileNotFoundError:
        return {}
    return record if isinstance(record, dict) else {}


def _place() -> dict[str, Any]:
    """Where this process runs, so that another on the same kernel can tell at once that it has died."""
    return {"kernel": _kernel(), "pid": os.getpid(), "started": _started(os.getpid())}


def _known_dead(place: Mapping[str, Any]) -> bool:
    """Whether the process at `place` is certainly gone; False where this cannot be told from here."""
    return bool(place["kernel"]) and place["kernel"] == _kernel() and _started(place["pid"]) != place["started"]


def _is_running(place: Mapping[str, Any]) -> bool:
    """Whether the process at `place` is on this machine, and goes on."""
    if not place["kernel"] or place["kernel"] != _kernel() or _started(place["pid"]) != place["started"]:
        return False
    return Path(f"/proc/{place['pid']}/stat").read_text().rpartition(")")[2].split()[0] not in "Tt"


def _kernel() -> str:
    """Identity of this boot and process namespace; empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}-{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot; None where there is no such (living) process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
