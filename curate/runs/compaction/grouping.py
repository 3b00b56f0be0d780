"""Which shards share a part.

Parts that are as they should be stay what they are, so that growing a run or judging a shard again costs the parts that
it touches. All else is cut in the order of the plan.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from curate.runs.commits import Commit
from curate.runs.compaction.index import Index, Span, is_of, parts_folder

FORMAT_VERSION = 1
"""Changes whenever the same rows would be laid out differently in a part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The shards of one part, in order."""

    policy: str
    commits: tuple[Commit, ...]

    @property
    def name(self) -> str:
        """Name of the part: what is in it decides, so that an interrupted compaction finds what it had written."""
        content = [FORMAT_VERSION, *([commit.shard, commit.sha256] for commit in self.commits)]
        digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
        return f"{parts_folder(self.policy)}/{digest}.parquet"


def group_all(policy: str, commits: Sequence[Commit], indexes: Iterable[Index], target: int) -> list[Group]:
    """Groups of all `commits`, each of about `target` bytes of annotation files, or a part that is good as it is.

    Args:
        policy: whose rows.
        commits: of every committed shard, in the order of the plan.
        indexes: what is there.
        target: bytes; a part below half of it is merged with what follows.
    """
    known = {commit.shard: commit for commit in commits}
    homes: dict[str, str] = {}
    for index in indexes:
        for part, spans in index.by_part():
            if _is_good(spans, known, target):
                homes |= {span.shard: part.name for span in spans}
    groups: list[tuple[Commit, ...]] = []
    for home, shards in groupby(commits, lambda commit: homes.get(commit.shard)):
        run = tuple(shards)
        groups += [run] if home else _cut(run, target)
    return [Group(policy=policy, commits=group) for group in groups]


def group_again(policy: str, index: Index, commits: Mapping[str, Commit]) -> list[Group]:
    """The parts of `index` without the rows that do not count any more.

    Args:
        policy: whose rows.
        index: what is there.
        commits: by shard id.
    """
    kept = (_committed(spans, commits) for _, spans in index.by_part())
    return [Group(policy=policy, commits=tuple(group)) for group in kept if group]


def _committed(spans: Iterable[Span], commits: Mapping[str, Commit]) -> list[Commit]:
    """The commits whose rows stand there."""
    there = [(span, commits.get(span.shard)) for span in spans]
    return [commit for span, commit in there if commit is not None and is_of(span, commit)]


def _is_good(spans: Sequence[Span], commits: Mapping[str, Commit], target: int) -> bool:
    return sum(span.bytes for span in spans) >= target / 2 and len(_committed(spans, commits)) == len(spans)


def _cut(commits: Iterable[Commit], target: int) -> Iterator[tuple[Commit, ...]]:
    group: list[Commit] = []
    size = 0
    for commit in commits:
        group.append(commit)
        size += commit.file_bytes
        if size >= target:
            yield tuple(group)
            group, size = [], 0
    if group:
        yield tuple(group)
