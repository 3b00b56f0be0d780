"""One compaction of a run at a time: a claim like that on a shard, on a name that no shard has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from curate.core.errors import InputError, StorageFailed
from curate.runs.claims import Claim, Claims, heartbeat, worker_id
from curate.storage.store import Store

NAME = "-compaction"
POLL_SECONDS = 1.0
LEASE = 60.0


class Lease:
    """The right to take files away, for as long as it can be renewed.

    Attributes:
        claims: for claiming shards under the same heartbeat.
    """

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        self._failure: StorageFailed | None = None

    def check(self) -> None:
        """Ask before each deletion.

        Raises:
            StorageFailed: it could not be renewed.
        """
        if self._failure is not None:
            raise self._failure

    def fail(self, error: StorageFailed) -> None:
        """What kept it from being renewed."""
        self._failure = error


@contextmanager
def alone(store: Store, lease: float = LEASE) -> Iterator[Lease]:
    """Keep every other compaction of this run away; that of a dead process is waited out.

    Args:
        store: the run's folder.
        lease: seconds without a heartbeat after which a process counts as dead.

    Raises:
        InputError: another one is at work.
    """
    held = Lease(Claims(store, worker_id(), lease=lease))
    with heartbeat(held.claims, dict, held.fail):
        claim = _take(store, held.claims)
        try:
            yield held
        finally:
            held.claims.release(claim)


def _take(store: Store, claims: Claims) -> Claim:
    deadline = time.monotonic() + 1.5 * claims.lease
    while (claim := claims.take(NAME)) is None:
        if time.monotonic() > deadline:
            raise InputError(f"{store.uri('')}: another process is compacting this run; wait for its end")
        time.sleep(POLL_SECONDS)
    return claim
