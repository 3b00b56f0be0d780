"""Compaction in the one order that is safe to stop anywhere: parts, index, card, and only then deletions.

What points to rows (the card) is not known here; who calls says how it is brought up to date (`Repoint`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from curate.core.types import ShardRef
from curate.runs.commits import Commit, commits_by_shard
from curate.runs.compaction.grouping import Group, group_again, group_all
from curate.runs.compaction.index import Index, is_of, publish_index, read_indexes
from curate.runs.compaction.lease import LEASE, Lease, alone
from curate.runs.compaction.reading import AnnotationFiles
from curate.runs.compaction.sweeping import delete_small_files, forget_others
from curate.runs.compaction.writing import write_part
from curate.storage.store import Store

TARGET = 256 * 2**20
"""Bytes of a part."""

Progress = Callable[[int], object]
"""Called with a number of shards whenever so many more stand in their part."""

Repoint = Callable[[str, Mapping[str, Commit], Index], object]
"""Called with a policy, all its commits by shard id, and the index that counts now, before anything is deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What a compaction came to under one policy: shards in parts, the parts, their bytes, small files deleted."""

    policy: str
    shards: int
    parts: int
    bytes: int
    deleted: int


def compact(
    store: Store,
    plan: Sequence[ShardRef],
    policies: Sequence[str],
    repoint: Repoint,
    *,
    target: int = TARGET,
    lease: float = LEASE,
    progress: Progress = lambda shards: None,
) -> list[Compacted]:
    """Merge every committed annotation file into parts, and delete the files that are not needed any more.

    Readers find every row at every moment. Killed anywhere, the next call goes on.

    Args:
        store: the run's folder.
        plan: every shard, in the order that rows take.
        policies: whose rows.
        repoint: lets the card point to where rows stand.
        target: bytes of annotation files that make a part.
        lease: as of a worker.
        progress: told about shards as they are written.

    Raises:
        InputError: another compaction is at work, or an annotation file is not the committed one.
    """
    with alone(store, lease) as held:
        return [_compact(store, plan, policy, repoint, target, held, progress) for policy in policies]


def drop_stale_rows(store: Store, commits: Mapping[str, Mapping[str, Commit]], repoint: Repoint) -> None:
    """Write parts that hold rows of a shard that was judged again anew, without these; a card could not leave them out.

    Args:
        store: the run's folder.
        commits: by policy and shard id; those of all policies that somebody is about to point to.
        repoint: lets the card point to where rows stand.

    Raises:
        InputError: a compaction is at work.
    """
    stale = [policy for policy, of in commits.items() if _stale_indexes(store, policy, of)]
    if not stale:
        return
    with alone(store) as held:
        for policy in stale:
            known = commits_by_shard(store, policy)
            for index in _stale_indexes(store, policy, known):
                _rewrite(store, policy, group_again(policy, index, known), known, repoint, held)


def _stale_indexes(store: Store, policy: str, commits: Mapping[str, Commit]) -> list[Index]:
    """Indexes with rows that `commits` do not speak of."""
    return [
        i
        for i in read_indexes(store, policy)
        if not all(s.shard in commits and is_of(s, commits[s.shard]) for s in i.spans)
    ]


def _compact(
    store: Store,
    plan: Sequence[ShardRef],
    policy: str,
    repoint: Repoint,
    target: int,
    lease: Lease,
    progress: Progress,
) -> Compacted:
    commits = commits_by_shard(store, policy)
    planned = [shard.id for shard in plan if shard.id in commits]
    # A shard outside the plan is none of this run's, but its rows are nothing to lose either.
    others = sorted(commits.keys() - set(planned))
    ordered = [commits[shard] for shard in (*planned, *others)]
    groups = group_all(policy, ordered, read_indexes(store, policy), target)
    index = _rewrite(store, policy, groups, commits, repoint, lease, progress)
    return Compacted(
        policy=policy,
        shards=len(index.spans),
        parts=len(index.parts),
        bytes=sum(part.bytes for part in index.parts),
        deleted=delete_small_files(store, policy, index, lease),
    )


def _rewrite(
    store: Store,
    policy: str,
    groups: Sequence[Group],
    commits: Mapping[str, Commit],
    repoint: Repoint,
    lease: Lease,
    progress: Progress = lambda shards: None,
) -> Index:
    files = AnnotationFiles(store)
    known = {part.name: (part, spans) for index in read_indexes(store, policy) for part, spans in index.by_part()}
    parts, spans = [], []
    for group in groups:
        part, found = known.get(group.name) or write_part(store, files, group)
        parts.append(part)
        spans += found
        progress(len(found))
    index = publish_index(store, policy, parts, spans)
    repoint(policy, commits, index)
    forget_others(store, policy, index, lease)
    return index
