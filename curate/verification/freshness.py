"""Whether the splits were made from the annotations that are there now.

Judging again (`retry`, a repaired shard) replaces annotations while the splits of the earlier ones still stand. That is
unfinished work, and holding those splits against the new rows would call it a violation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from curate.runs.commits import Commit, annotation_name
from curate.verification.folder import Folder, read_commit_of
from curate.verification.split_set import SplitSet

_Commits = Mapping[tuple[str, str], Commit]


def is_current(folder: Folder, splits: SplitSet) -> bool:
    """Whether the card's digest is that of the commits behind it, shards that were judged later set aside."""
    patterns = frozenset(splits.annotations.patterns)
    pointed = {
        (policy, shard): commit
        for policy in splits.policies
        for shard in folder.committed.get(policy, ())
        if isinstance(commit := read_commit_of(folder, policy, shard, keep=True), Commit)
        and patterns & _places(folder, commit)
    }
    split = {key: commit for key, commit in pointed.items() if key[1] in splits.files or not commit.rows}
    return splits.annotations.description in (_digest(pointed), _digest(split))


def _places(folder: Folder, commit: Commit) -> set[str]:
    """The patterns of a card that a shard's rows may be behind."""
    span = folder.files.span(commit)
    own = {annotation_name(commit.policy, shard) for shard in (commit.shard, "*")}
    return own if span is None else {*own, span.part}


def _digest(commits: _Commits) -> str:
    """As cards have it: sixteen hexadecimal digits over the sorted lines "policy shard sha256"."""
    lines = sorted(f"{policy} {shard} {commit.sha256}" for (policy, shard), commit in commits.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
