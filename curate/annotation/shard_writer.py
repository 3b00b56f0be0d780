"""One shard's rows in one pass (a policy, or each row's own), from the opening of its journal to its commit."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow.parquet as pq

from curate.annotation.duplicates import DuplicateIndex
from curate.core.types import Annotation, Damage, PassedOver, Rating, Sample, ShardRef
from curate.runs.claims import ClaimLost
from curate.runs.commits import Commit, annotation_name, commit_name, read_commit
from curate.runs.journal import Journal, read_rows
from curate.runs.reopening import kept_name
from curate.runs.results import Holder, believe_or_delete
from curate.storage.store import Store

_COUNTED = ["index", "status", "rating", "category", "reused_from", "prompt_tokens", "cached_tokens", "output_tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What must agree for a row to count: it stands in the annotation file and in the commit.

    `labels` stands in the file alone: where they do not come from a model, it says so.
    """

    fingerprint: str
    plan_hash: str
    version: str | None
    labels: str | None = None

    def metadata(self) -> dict[str, str]:
        """As Parquet key-value metadata."""
        known = {"fingerprint": self.fingerprint, "plan_hash": self.plan_hash, "shard_version": self.version or ""}
        return known | ({"labels": self.labels} if self.labels else {})


class ShardWriter:
    """One shard in one pass: which samples still need a row, and where rows go."""

    def __init__(self, store: Store, shard: ShardRef, policy: str, identity: Identity) -> None:
        self.policy = policy
        self.identity = identity
        self._store = store
        self._shard = shard
        self._kept_name = kept_name(policy, shard.id)
        generation = store.read(self._kept_name) if store.exists(self._kept_name) else b""
        checkpoint = f"{identity.fingerprint}/{identity.version}/{hashlib.sha256(generation).hexdigest()}"
        self.journal = Journal(store, policy, shard.id, checkpoint, identity.metadata())
        self.start = self.journal.next_row
        self.duplicates = DuplicateIndex(self.journal.rows())
        self._kept = self._keep() if generation else iter(())
        self._next_kept = next(self._kept, None)

    def kept(self, sample: Sample) -> Annotation | None:
        """The row that an earlier run gave a picture, where it is not to be judged again; ask in order."""
        while self._next_kept is not None and self._next_kept.index < sample.index:
            self._next_kept = next(self._kept, None)
        row = self._next_kept
        if row is None or not _is_of(row, sample):
            return None
        self._next_kept = next(self._kept, None)
        return row

    def publish(
        self, damage: Damage | None, passed_over: Mapping[str, PassedOver], worker: str, seconds: float
    ) -> Commit:
        """Publish the annotation file, commit it, and delete what led to it.

        The commit is made from the file that stands, which may be another worker's if it is of the same identity. Where
        another has committed the shard meanwhile, and deleted what this one would have read, its commit is returned.

        Raises:
            ClaimLost: another worker has taken the shard over, and has not finished it yet.
        """
        held = Holder(store=self._store, shard=self._shard.id, worker=worker)
        try:
            commit = self._published(held, damage, passed_over, seconds)
        except (FileNotFoundError, ClaimLost):
            if not self._store.exists(commit_name(self.policy, self._shard.id)):
                held.check()
                raise
            commit = read_commit(self._store, self.policy, self._shard.id)
        self.journal.discard()
        self._store.delete(self._kept_name)
        return commit

    def _published(
        self, held: Holder, damage: Damage | None, passed_over: Mapping[str, PassedOver], seconds: float
    ) -> Commit:
        """The commit of the annotation file that stands, and is of this identity."""
        held.check()
        self.journal.publish()
        while not believe_or_delete(held, self.policy, self.identity.metadata()):
            self.journal.publish()
        commit = self._commit(damage, passed_over, held.worker, seconds)
        held.check()
        name = commit_name(commit.policy, commit.shard)
        if not self._store.create(name, commit.to_json()):
            there = read_commit(self._store, commit.policy, commit.shard)
            if there.sha256 == commit.sha256:
                return there
            held.check()  # the other one had lost the shard when it committed a file that is gone now
            self._store.replace(name, commit.to_json())
        return commit

    def _keep(self) -> Iterator[Annotation]:
        return read_rows(self._store.open(self._kept_name))

    def _commit(
        self, damage: Damage | None, passed_over: Mapping[str, PassedOver], worker: str, seconds: float
    ) -> Commit:
        name = annotation_name(self.policy, self._shard.id)
        with self._store.open(name) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            file.seek(0)
            table = pq.read_table(file, columns=_COUNTED)
        rows = table.to_pydict()
        unsafe = [c for r, c in zip(rows["rating"], rows["category"], strict=True) if r == Rating.UNSAFE]
        return Commit(
            shard=self._shard.id,
            policy=self.policy,
            fingerprint=self.identity.fingerprint,
            plan_hash=self.identity.plan_hash,
            rows=table.num_rows,
            samples=len(set(rows["index"])),
            passed_over=passed_over,
            statuses=_counts(rows["status"]),
            ratings=_counts(r for r in rows["rating"] if r),
            categories=_counts(unsafe),
            sha256=digest,
            file_bytes=size,
            version=self.identity.version,
            damage=damage,
            worker=worker,
            seconds=seconds,
            reused=sum(origin is not None for origin in rows["reused_from"]),
            tokens={n.removesuffix("_tokens"): sum(v or 0 for v in rows[n]) for n in _COUNTED if n.endswith("_tokens")},
        )


def _is_of(row: Annotation, sample: Sample) -> bool:
    """Whether a row that is kept is of this picture, for the source may be another since.

    Rows of earlier versions do not say which picture of a sample they are of: there they are of the first.
    """
    named = row.image_name == sample.part or (row.image_name is None and sample.picture == 0)
    return named and (row.index, row.key, row.sha256) == (sample.index, sample.key, sample.sha256)


def _counts(values: Iterator[str] | list[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
