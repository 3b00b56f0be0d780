"""A worker: takes shards that nobody has finished, several at a time, until none is left or it is told to drain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from curate.annotation.annotate_shard import WorkerContext, annotate_shard
from curate.core.errors import Drained, ShardUnreadable, StorageFailed
from curate.core.threads import uninterrupted
from curate.core.types import ShardRef
from curate.processes.interruption import drains
from curate.runs.claims import Claim, ClaimLost, Claims, heartbeat, holder
from curate.runs.commits import commit_name, committed
from curate.runs.plan import check_version
from curate.runs.rollup import Rollup
from curate.runs.shard_failures import ShardFailure, clear_failure, note_failure
from curate.telemetry.failure_budget import Tally
from curate.telemetry.progress import Display

POLL_SECONDS = 1.0
SHOW_SECONDS = 0.2
LISTING_SECONDS = 5.0
EARLY_END = "stopped before the end, nothing is lost; run the same command again to go on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done: the counts, and the shards that could not be read, by id with the reason."""

    tally: Tally
    unreadable: dict[str, str]


class Worker:
    """Annotates the shards of a plan together with any number of other workers on the same folder.

    Args:
        shards: the plan's, in order.
        context: what they are judged with; its engine and pool are started.
        claims: this worker's view of who holds what.
        progress: shown while it runs.
        rollup: what is finished, for `status`; nothing here is decided by it.
        grace: seconds that what is in flight has to finish when draining.
    """

    def __init__(
        self,
        shards: Sequence[ShardRef],
        context: WorkerContext,
        claims: Claims,
        progress: Display,
        rollup: Rollup,
        *,
        grace: float = 30.0,
    ) -> None:
        self.unreadable: dict[str, str] = {}
        self._shards = shards
        self._context = context
        self._claims = claims
        self._progress = progress
        self._rollup = rollup
        self._grace = grace
        self._held: set[str] = set()
        self._finished: set[str] = set()
        self._listed_at = float("-inf")
        self._looking = asyncio.Lock()
        self._silenced: StorageFailed | None = None

    async def run(self) -> None:
        """Work until every shard is committed or named in `unreadable`.

        Raises:
            Drained: a signal asked for an early end; start again to go on.
            StorageFailed: the run's folder cannot be written any more, not even the heartbeat.
            CurateError: as `annotate_shard` does; other shards in flight are checkpointed.
        """
        with self._progress:
            showing = asyncio.create_task(self._show())
            try:
                await self._work()
            finally:
                showing.cancel()
        if self._context.gate.closed:
            raise Drained(EARLY_END)

    async def _work(self) -> None:
        tasks = [asyncio.create_task(self._take_shards()) for _ in range(self._context.shards_in_flight)]
        with self._heartbeat(tasks), self._draining(tasks):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in [*ends, self._silenced]:
            if isinstance(end, Exception):
                raise end

    async def _take_shards(self) -> None:
        while not self._context.gate.closed and (found := await self._next()):
            shard, claim = found
            try:
                await self._annotate(shard)
            except ClaimLost:
                continue  # another worker finishes it
            except Drained:
                return
            finally:
                self._held.discard(shard.id)
                await uninterrupted(self._claims.release, claim)

    async def _annotate(self, shard: ShardRef) -> None:
        """One shard; one that cannot be read is named and left to a later run, one that breaks off is named too."""
        try:
            version = await asyncio.to_thread(check_version, shard, self._context.dataset)
            commits = await annotate_shard(shard, version, self._context)
        except ShardUnreadable as error:
            if await asyncio.to_thread(holder, self._context.store, shard.id) != self._context.worker:
                raise ClaimLost(shard.id) from error  # and what another worker makes of it is not this one's to say
            self.unreadable[shard.id] = str(error)
            await self._note(ShardFailure(shard=shard.id, url=shard.url, reason=str(error)))
            return
        self._finished.add(shard.id)
        self._rollup.finished(commits)
        damage = next((c.damage for c in commits if c.damage), None)
        if damage is None:
            await asyncio.to_thread(clear_failure, self._context.store, shard.id)
        else:
            reason = f"breaks off after {damage.index} samples: {damage.reason}"
            failure = ShardFailure(
                shard=shard.id, url=shard.url, reason=reason, judged=True, version=version, samples=damage.index
            )
            await self._note(failure)

    async def _note(self, failure: ShardFailure) -> None:
        await asyncio.to_thread(note_failure, self._context.store, failure)

    async def _next(self) -> tuple[ShardRef, Claim] | None:
        """A claimed shard that is not finished; None when there is none left, or when draining."""
        while not self._context.gate.closed:
            async with self._looking:
                found, others = await uninterrupted(self._look)
            if found or not others:
                return found
            await asyncio.sleep(POLL_SECONDS)
        return None

    def _look(self) -> tuple[tuple[ShardRef, Claim] | None, bool]:
        """The first unfinished shard that can be claimed, and whether other workers hold any."""
        candidates = self._unfinished()
        claims = self._claims.newest() if candidates else {}
        for shard in candidates:
            if claim := self._take(shard, claims):
                return (shard, claim), False
        return None, not all(shard.id in self._held for shard in candidates)

    def _take(self, shard: ShardRef, claims: Mapping[str, Claim]) -> Claim | None:
        if shard.id in self._held:
            return None
        claim = self._claims.take(shard.id, claims)
        if claim is None:
            return None
        if self._is_finished(shard):
            self._claims.release(claim)
            self._finished.add(shard.id)
            return None
        self._held.add(shard.id)
        return claim

    def _unfinished(self) -> list[ShardRef]:
        """Shards without a commit as of the last listing; a listing is cheap but not free on a shared file system."""
        if time.monotonic() - self._listed_at >= LISTING_SECONDS:
            self._listed_at = time.monotonic()
            done = {name: committed(self._context.store, name) for name in self._context.fingerprints}
            self._finished |= set.intersection(*done.values())
            for name, shards in done.items():
                self._rollup.saw(name, shards)
        return [s for s in self._shards if s.id not in self._finished and s.id not in self.unreadable]

    def _is_finished(self, shard: ShardRef) -> bool:
        return all(self._context.store.exists(commit_name(name, shard.id)) for name in self._context.fingerprints)

    async def _show(self) -> None:
        while True:
            self._progress.refresh()
            await asyncio.sleep(SHOW_SECONDS)

    def _said(self) -> Mapping[str, Any]:
        return self._context.tally.snapshot() | self._rollup.record()

    def _heartbeat(self, tasks: Sequence[asyncio.Task[None]]) -> AbstractContextManager[None]:
        """Renew the leases; where that fails, stop."""
        loop = asyncio.get_running_loop()

        def silence(error: StorageFailed) -> None:
            self._silenced = error
            for task in tasks:
                task.cancel()

        return heartbeat(self._claims, self._said, lambda error: loop.call_soon_threadsafe(silence, error))

    def _draining(self, tasks: Sequence[asyncio.Task[None]]) -> AbstractContextManager[None]:
        """The first signal lets what is in flight finish; a second Ctrl-C, or the end of the grace, does not."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            for task in tasks:
                task.cancel()

        def drain() -> None:
            self._context.gate.close()
            loop.call_later(self._grace, stop)

        return drains(
            self._in_flight, partial(loop.call_soon_threadsafe, drain), partial(loop.call_soon_threadsafe, stop)
        )

    def _in_flight(self) -> str:
        count = self._context.gate.inside
        return f"{count} image{'' if count == 1 else 's'} in flight" if count else "what was begun"
