"""What is finished: the commit of a shard, written last; only what has one counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

from curate.core.types import Damage, PassedOver
from curate.storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The proof that a shard is finished under one policy; written last, and only what has one counts.

    Attributes:
        shard, policy: what is finished.
        fingerprint, plan_hash: what could change a row, and what the inputs were.
        rows: number of rows, equal to the number of pictures that were read, and of samples without any.
        samples: that were read; None in commits of earlier versions, which have a row for each.
        passed_over: what of the shard is no part of any sample, by reason.
        statuses, ratings, categories: counts; `categories` counts Unsafe rows by category code.
        sha256, file_bytes: of the annotation file.
        version: of the shard as it was read.
        damage: where it broke off, None for a whole shard.
        worker: who wrote it (provenance only).
        seconds: from the first sample read to the commit (provenance only).
        tokens: prompt, cached and output tokens (provenance only).
        reused: rows whose label is that of an identical picture or of an earlier run.
    """

    shard: str
    policy: str
    fingerprint: str
    plan_hash: str
    rows: int
    statuses: Mapping[str, int]
    ratings: Mapping[str, int]
    categories: Mapping[str, int]
    sha256: str
    file_bytes: int
    version: str | None
    damage: Damage | None = None
    worker: str = ""
    seconds: float = 0.0
    tokens: Mapping[str, int] = field(default_factory=dict)
    reused: int = 0
    samples: int | None = None
    passed_over: Mapping[str, PassedOver] = field(default_factory=dict)

    @property
    def sample_count(self) -> int:
        """How many samples were read."""
        return self.rows if self.samples is None else self.samples

    def to_json(self) -> bytes:
        """Readable JSON, one key a line."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Commit:
        """Read back what `to_json` wrote."""
        fields = json.loads(data)
        damage = fields.pop("damage")
        passed_over = {reason: PassedOver(**found) for reason, found in fields.pop("passed_over", {}).items()}
        return cls(damage=Damage(**damage) if damage else None, passed_over=passed_over, **fields)


def annotation_name(policy: str, shard: str) -> str:
    """Name of a shard's annotation file in the run's folder."""
    return f"annotations/{policy}/{shard}.parquet"


def commit_name(policy: str, shard: str) -> str:
    """Name of a shard's commit in the run's folder."""
    return f"commits/{policy}/{shard}.json"


def committed(store: Store, policy: str) -> set[str]:
    """Ids of the shards that are finished under `policy`."""
    return {name.removesuffix(".json") for name in store.names(f"commits/{policy}")}


def finished(store: Store, policies: Iterable[str]) -> set[str]:
    """Ids of the shards that are finished under all of `policies`, of which there is at least one."""
    return set.intersection(*(committed(store, policy) for policy in policies))


def any_committed(store: Store, policies: Iterable[str]) -> bool:
    """Whether anything is finished under any of `policies`."""
    return any(committed(store, policy) for policy in policies)


def read_commit(store: Store, policy: str, shard: str) -> Commit:
    """The commit of a finished shard; FileNotFoundError where there is none."""
    return Commit.from_json(store.read(commit_name(policy, shard)))


def read_commits(store: Store, policy: str) -> Iterator[Commit]:
    """All commits of `policy`, by shard id."""
    for shard in sorted(committed(store, policy)):
        yield read_commit(store, policy, shard)


def commits_by_shard(store: Store, policy: str) -> dict[str, Commit]:
    """All commits of `policy`, by shard id."""
    return {commit.shard: commit for commit in read_commits(store, policy)}
