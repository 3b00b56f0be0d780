"""What workers know to be finished, in their heartbeats, so that `status` need not list a commit for each shard.

Every worker lists the commits now and then to find work, and knows what it finished since. It writes both down with its
heartbeat, as ranges of positions in the plan, which are few however many shards there are. All of this is for showing:
what counts is a commit, and no worker decides anything by a roll-up. A shard that two workers finished is in both
roll-ups and is counted once; what a worker finished between its last heartbeat and its death is in that of the next
worker that lists the commits.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.core.types import ShardRef
from curate.runs.claims import Claims
from curate.runs.commits import Commit, committed
from curate.storage.store import Store

GENERATION = "work/generation"
COUNTER = "counted"
"""Stands for a worker's id where the commits were counted by somebody else."""

Flags = npt.NDArray[np.bool_]
"""One truth value for each shard of the plan, in its order."""


class Rollup:
    """One worker's knowledge; may be asked by another thread than the one that adds to it.

    Args:
        store: the run's folder.
        plan: every shard of the run.
        policies: whose commits are looked at.
    """

    def __init__(self, store: Store, plan: Sequence[ShardRef], policies: Iterable[str]) -> None:
        self._generation = generation(store)
        self._positions = {shard.id: position for position, shard in enumerate(plan)}
        self._finished = {policy: np.zeros(len(plan), dtype=np.bool_) for policy in policies}
        self._rows = self._shards = 0
        self._lock = Lock()

    @property
    def policies(self) -> list[str]:
        """Whose commits are looked at."""
        return list(self._finished)

    def saw(self, policy: str, shards: Iterable[str]) -> None:
        """Shards that a listing of the commits held; what is no shard of the plan is passed over."""
        positions = [self._positions[shard] for shard in shards if shard in self._positions]
        with self._lock:
            self._finished[policy][positions] = True

    def finished(self, commits: Iterable[Commit]) -> None:
        """What this worker committed itself."""
        for commit in commits:
            self.saw(commit.policy, [commit.shard])
            self._shards += 1
            self._rows += commit.rows

    def record(self) -> dict[str, Any]:
        """As JSON, for a heartbeat; `shards` and `rows` count this worker's own commits."""
        with self._lock:
            finished = {policy: to_ranges(flags) for policy, flags in self._finished.items()}
        return {
            "generation": self._generation,
            "finished": finished,
            "shards": self._shards,
            "committed_rows": self._rows,
        }


def roll_up(store: Store, plan: Sequence[ShardRef], policies: Iterable[str]) -> None:
    """Count the commits and write it down, for when no worker will do so any more."""
    counted = Rollup(store, plan, policies)
    for policy in counted.policies:
        counted.saw(policy, committed(store, policy))
    Claims(store, COUNTER).beat(counted.record(), ended=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedShards:
    """What all workers together know.

    Attributes:
        finished: by policy.
        rows: in a finished shard, on average over the workers' own; None before the first.
    """

    finished: Mapping[str, Flags]
    rows: float | None


def together(store: Store, records: Iterable[Mapping[str, Any]], shards: int) -> FinishedShards | None:
    """The union of roll-ups; None where there is none that speaks of the run as it is.

    Args:
        store: the run's folder.
        records: of workers, living or not.
        shards: in the plan, which may have grown since.
    """
    now = generation(store)
    current = [record for record in records if record.get("generation", ...) == now]
    if not current:
        return None
    finished = {policy: np.zeros(shards, dtype=np.bool_) for record in current for policy in record["finished"]}
    for record in current:
        for policy, ranges in record["finished"].items():
            for start, end in from_ranges(ranges):
                finished[policy][start:end] = True
    committed = sum(record["shards"] for record in current)
    rows = sum(record["committed_rows"] for record in current)
    return FinishedShards(finished=finished, rows=rows / committed if committed else None)


def generation(store: Store) -> str | None:
    """Changes whenever finished shards become unfinished again, which older roll-ups cannot know."""
    try:
        return store.read(GENERATION).decode()
    except FileNotFoundError:
        return None


def forget(store: Store) -> None:
    """Make every roll-up there is void."""
    store.replace(GENERATION, secrets.token_hex(8).encode())


def to_ranges(flags: Flags) -> str:
    """Positions that are set, as in "0-511,513-513"."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return ",".join(f"{start}-{end - 1}" for start, end in edges.reshape(-1, 2).tolist())


def from_ranges(text: str) -> Iterator[tuple[int, int]]:
    """First position and the one after the last, of each range."""
    for part in filter(None, text.split(",")):
        start, _, last = part.partition("-")
        yield int(start), int(last) + 1
