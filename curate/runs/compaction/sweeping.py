"""What is superfluous once an index counts: earlier indexes, parts of none, small files whose rows stand in a part."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from curate.runs.claims import Claim
from curate.runs.commits import annotation_name, read_commit
from curate.runs.compaction.index import Index, Span, index_folder, is_of, parts_folder
from curate.runs.compaction.lease import Lease
from curate.storage.store import Store

LANES = 16
"""Files that are deleted at once: on an object store each takes several requests and hardly any of our time."""

LISTED = 1000
"""Files that are deleted after one listing of the claims, so that it is never old."""


def forget_others(store: Store, policy: str, index: Index, lease: Lease) -> None:
    """Delete every other index, then the parts that `index` does not name."""
    for folder, keep in (
        (index_folder(policy), {index.name}),
        (parts_folder(policy), {part.name for part in index.parts}),
    ):
        for name in store.names(folder):
            if f"{folder}/{name}" not in keep:
                lease.check()
                store.delete(f"{folder}/{name}")


def delete_small_files(store: Store, policy: str, index: Index, lease: Lease) -> int:
    """Delete the annotation files whose rows stand in the parts of `index`; how many there were.

    A shard that is being judged again gets a new file of the same name. Each file is therefore deleted under its
    shard's claim, which whoever judges it must have too, and only while the commit is the one in the index.
    """
    there = set(store.names(f"annotations/{policy}"))
    spans = [span for span in index.spans if f"{span.shard}.parquet" in there]
    with ThreadPoolExecutor(LANES) as pool:
        return sum(
            sum(pool.map(partial(_delete, store, policy, lease, lease.claims.newest()), spans[start : start + LISTED]))
            for start in range(0, len(spans), LISTED)
        )


def _delete(store: Store, policy: str, lease: Lease, claims: Mapping[str, Claim], span: Span) -> bool:
    """Delete the annotation file behind `span` unless somebody works on its shard; whether it was."""
    lease.check()
    claim = lease.claims.take(span.shard, claims)
    if claim is None:
        return False
    try:
        unchanged = is_of(span, read_commit(store, policy, span.shard))
        if unchanged:
            store.delete(annotation_name(policy, span.shard))
    except FileNotFoundError:
        return False
    finally:
        lease.claims.release(claim)
    return unchanged
