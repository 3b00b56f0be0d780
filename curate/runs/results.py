"""Whether the annotation file that stands for a shard is believed or deleted; nothing else decides that.

A kill between an annotation file and its commit leaves a file that nobody answers for, and its source may be another
one when the next worker comes. So a file is what its own metadata say that it is, and nobody deletes one, or commits
one, who does not hold the shard's claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow.parquet as pq

from curate.runs import rollup
from curate.runs.claims import ClaimLost, holder
from curate.runs.commits import annotation_name, commit_name
from curate.storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A worker that has taken a shard, and may lose it without noticing."""

    store: Store
    shard: str
    worker: str

    def check(self) -> None:
        """Ask before each step that others would see.

        Raises:
            ClaimLost: another worker has it now, or had.
        """
        if holder(self.store, self.shard) != self.worker:
            raise ClaimLost(f"{self.shard}: was taken over by another worker")


def standing(store: Store, policy: str, shard: str) -> dict[str, str] | None:
    """What the annotation file of a shard says of itself; None where there is none of its own."""
    try:
        with store.open(annotation_name(policy, shard)) as file:
            metadata = pq.read_metadata(file).metadata or {}
    except FileNotFoundError:
        return None
    return {key.decode(): value.decode() for key, value in metadata.items()}


def believe_or_delete(held: Holder, policy: str, identity: Mapping[str, str]) -> bool:
    """Whether the annotation file that stands is of this `identity`; one of another is deleted, with its commit.

    Args:
        held: the shard, by whoever asks.
        policy: whose rows.
        identity: what its metadata have to say.

    Raises:
        ClaimLost: it is of another, and another worker's to delete.
    """
    found = standing(held.store, policy, held.shard)
    if found is None:
        return False
    if all(found.get(name) == value for name, value in identity.items()):
        return True
    delete(held, policy)
    return False


def delete(held: Holder, policy: str) -> None:
    """Delete the result of a shard under `policy`: first what makes it count.

    Raises:
        ClaimLost: it is another worker's.
    """
    held.check()
    if held.store.exists(commit_name(policy, held.shard)):
        rollup.forget(held.store)
        held.store.delete(commit_name(policy, held.shard))
    held.store.delete(annotation_name(policy, held.shard))
