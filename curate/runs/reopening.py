"""Finished shards made unfinished: rows of some status are judged again, or a source is not what was judged.

In an order that a kill cannot turn into a loss, and by whoever holds the shard's claim: a shard that another worker is
at is left to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType

import pyarrow.parquet as pq

from curate.console.output import complain
from curate.console.phases import phase
from curate.core.errors import StorageFailed
from curate.runs.claims import Claims, heartbeat, worker_id
from curate.runs.commits import Commit, annotation_name, commit_name, committed, read_commit
from curate.runs.compaction.reading import AnnotationFiles
from curate.runs.results import Holder, believe_or_delete, delete
from curate.storage.retrying_store import scratch_file
from curate.storage.store import Store

LEASE = 60.0


class Reopening:
    """Takes claims on finished shards, as a worker does, as long as it is entered; beats only once it has one.

    Args:
        store: the run's folder.
        lease: as of a worker.
    """

    def __init__(self, store: Store, lease: float = LEASE) -> None:
        self._store = store
        self._claims = Claims(store, worker_id(), lease=lease)
        self._stack = ExitStack()
        self._beats = False
        self._failure: StorageFailed | None = None

    def __enter__(self) -> Reopening:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def reopen(self, policy: str, shard: str, retry: frozenset[str]) -> bool:
        """Make a committed shard unfinished again, keeping all rows but those whose status is in `retry`.

        The kept rows stand before the commit goes, and until the old annotation file goes too it is simply what a later
        worker adopts.

        Returns:
            Whether that was done; not where another worker is at the shard.
        """
        with self._holding(shard) as held:
            if held is None:
                return False
            commit = _commit(self._store, policy, shard)
            if commit is None:
                return True
            with AnnotationFiles(self._store).local(commit) as path:
                table = pq.read_table(path, partitioning=None)
            keep = [status not in retry for status in table.column("status").to_pylist()]
            with scratch_file(self._store) as scratch:
                pq.write_table(table.filter(keep), scratch, compression="zstd")
                self._store.delete(kept_name(policy, shard))  # of a retry that ended in this commit
                self._store.publish(scratch, kept_name(policy, shard))
            delete(held, policy)
            return True

    def reopen_for_more(self, shard: str) -> bool:
        """Make a shard unfinished under every policy, and keep all its rows: there are more samples behind them now.

        Returns:
            Whether that was done; not where another worker is at the shard.
        """
        policies = [one for one in self._store.folders("commits") if self._store.exists(commit_name(one, shard))]
        return all(self.reopen(policy, shard, frozenset()) for policy in policies)

    def discard(self, shard: str, version: str | None) -> bool:
        """Make a shard unfinished under every policy and forget its rows, because its source is not what was judged.

        Args:
            shard: its id.
            version: of its source now; what was judged of this one stays.

        Returns:
            Whether nothing of another version is left; not where another worker is at the shard.
        """
        policies = {*self._store.folders("commits"), *self._store.folders("annotations")}
        found = [policy for policy in sorted(policies) if self._has(policy, shard)]
        if not found:
            return True
        with self._holding(shard) as held:
            if held is None:
                return False
            for policy in found:
                commit = _commit(self._store, policy, shard)
                if commit is not None and (version is None or commit.version != version):
                    delete(held, policy)
                else:
                    believe_or_delete(held, policy, {"shard_version": version or ""})
        return True

    def _has(self, policy: str, shard: str) -> bool:
        return self._store.exists(commit_name(policy, shard)) or self._store.exists(annotation_name(policy, shard))

    @contextmanager
    def _holding(self, shard: str) -> Iterator[Holder | None]:
        """The claim on a shard; None, and a line that says so, where a living worker has it."""
        if not self._beats:
            self._stack.enter_context(heartbeat(self._claims, dict, self._fail))
            self._beats = True
        with phase("waiting for another worker's shard", logged=False):
            claim = self._claims.take_in_time(shard)
        if claim is None:
            complain(f"{shard}: another worker is at it; it is left to that one, and looked at by the next start")
            yield None
            return
        try:
            if self._failure is not None:
                raise self._failure
            yield Holder(store=self._store, shard=shard, worker=self._claims.worker)
        finally:
            self._claims.release(claim)

    def _fail(self, error: StorageFailed) -> None:
        self._failure = error


def kept_name(policy: str, shard: str) -> str:
    """Name of the rows that a retry keeps, in the run's folder."""
    return f"work/kept/{policy}/{shard}.parquet"


def reopen_for_retry(store: Store, policy: str, retry: frozenset[str], lease: float = LEASE) -> int:
    """Reopen every committed shard of `policy` that holds a status in `retry`; the number of rows to judge again."""
    rows = 0
    with Reopening(store, lease) as reopening:
        for shard in sorted(committed(store, policy)):
            statuses = read_commit(store, policy, shard).statuses
            again = sum(count for status, count in statuses.items() if status in retry)
            if again and reopening.reopen(policy, shard, retry):
                rows += again
    return rows


def _commit(store: Store, policy: str, shard: str) -> Commit | None:
    try:
        return read_commit(store, policy, shard)
    except FileNotFoundError:
        return None
