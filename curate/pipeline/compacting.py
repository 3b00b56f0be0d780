"""The compact stage: rows of many small files merged into parts, while the card keeps pointing to all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from curate.cards.card import point_to_rows
from curate.core.types import ShardRef
from curate.runs.commits import Commit
from curate.runs.compaction import rewriting
from curate.runs.compaction.lease import LEASE
from curate.runs.compaction.rewriting import TARGET, Compacted, Progress
from curate.storage.store import Store


def compact(
    store: Store,
    plan: Sequence[ShardRef],
    policies: Sequence[str],
    *,
    target: int = TARGET,
    lease: float = LEASE,
    progress: Progress = lambda shards: None,
) -> list[Compacted]:
    """See `curate.runs.compaction.rewriting.compact`."""
    repoint = partial(point_to_rows, store)
    return rewriting.compact(store, plan, policies, repoint, target=target, lease=lease, progress=progress)


def drop_stale_rows(store: Store, commits: Mapping[str, Mapping[str, Commit]]) -> None:
    """See `curate.runs.compaction.rewriting.drop_stale_rows`."""
    rewriting.drop_stale_rows(store, commits, partial(point_to_rows, store))
