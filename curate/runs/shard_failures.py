"""Shards that could not be read, or not to their end: named in failures/<shard-id>.json until a later run mends it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from curate.core.secrets import masked_url, without_secrets
from curate.storage.store import Store

FOLDER = "failures"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFailure:
    """What is wrong with a shard.

    Attributes:
        judged: what could be read was judged and committed; else the shard has no commit.
        version: the version that was judged, so that a repaired shard is told from the broken one.
        samples: how many could be read; None where that was not written down.
    """

    shard: str
    url: str
    reason: str
    judged: bool = False
    version: str | None = None
    samples: int | None = None


def note_failure(store: Store, failure: ShardFailure) -> None:
    """Name a shard failure, in place of an earlier one; without secrets."""
    bare = replace(failure, url=masked_url(failure.url), reason=without_secrets(failure.reason))
    store.replace(_name(failure.shard), json.dumps(asdict(bare), indent=1, ensure_ascii=False).encode())


def clear_failure(store: Store, shard: str) -> None:
    """Forget a shard's failure: it was read to its end."""
    store.delete(_name(shard))


def count_failures(store: Store) -> int:
    """How many shard failures stand."""
    return len(store.names(FOLDER))


def read_failures(store: Store, most: int | None = None) -> list[ShardFailure]:
    """The shard failures that stand, by shard id; all of them, or the first `most`."""
    return [ShardFailure(**json.loads(store.read(f"{FOLDER}/{name}"))) for name in store.names(FOLDER)[:most]]


def _name(shard: str) -> str:
    return f"{FOLDER}/{shard}.json"
