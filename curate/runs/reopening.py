"""Finished shards made unfinished: rows of some status are judged again, or a source is not what was judged.

In an order that a kill cannot turn into a loss.
"""

from __future__ import annotations

import pyarrow.parquet as pq

from curate.runs import rollup
from curate.runs.commits import annotation_name, commit_name, committed, read_commit
from curate.runs.compaction.reading import AnnotationFiles
from curate.storage.retrying_store import scratch_file
from curate.storage.store import Store


def kept_name(policy: str, shard: str) -> str:
    """Name of the rows that a retry keeps, in the run's folder."""
    return f"work/kept/{policy}/{shard}.parquet"


def reopen(store: Store, policy: str, shard: str, retry: frozenset[str]) -> None:
    """Make a committed shard unfinished again, keeping all rows but those whose status is in `retry`.

    In an order that a kill cannot turn into a loss: the kept rows stand before the commit goes, and until the old
    annotation file goes too it is simply what a later worker adopts.
    """
    with AnnotationFiles(store).local(read_commit(store, policy, shard)) as path:
        table = pq.read_table(path, partitioning=None)
    keep = [status not in retry for status in table.column("status").to_pylist()]
    with scratch_file(store) as scratch:
        pq.write_table(table.filter(keep), scratch, compression="zstd")
        store.publish(scratch, kept_name(policy, shard))
    store.delete(commit_name(policy, shard))
    store.delete(annotation_name(policy, shard))


def reopen_for_retry(store: Store, policy: str, retry: frozenset[str]) -> int:
    """`reopen` every committed shard of `policy` that holds a status in `retry`; the number of rows to judge again."""
    rows = 0
    for shard in sorted(committed(store, policy)):
        statuses = read_commit(store, policy, shard).statuses
        again = sum(count for status, count in statuses.items() if status in retry)
        if again and not rows:
            rollup.forget(store)
        if again:
            reopen(store, policy, shard, retry)
        rows += again
    return rows


def reopen_for_more(store: Store, shard: str) -> None:
    """Make a shard unfinished under every policy, and keep all its rows: there are more samples behind them now."""
    for policy in store.folders("commits"):
        if store.exists(commit_name(policy, shard)):
            rollup.forget(store)
            reopen(store, policy, shard, frozenset())


def discard_result(store: Store, shard: str) -> None:
    """Make a shard unfinished under every policy and forget its rows, because its source is not what was judged."""
    for folder in store.folders("commits"):
        if store.exists(commit_name(folder, shard)):
            rollup.forget(store)
            store.delete(commit_name(folder, shard))
        store.delete(annotation_name(folder, shard))
