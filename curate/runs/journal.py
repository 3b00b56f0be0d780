"""A shard's rows on their way to the annotation file: checkpointed in parts, then published as one file.

Rows are added in the order of the samples, so parts are ranges and resuming is going on after the last row of the last
range. The final file is cut into row groups of a fixed size whatever the parts were, so that an interrupted shard ends
in the same bytes as one that was not.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curate.core.types import Annotation
from curate.runs.annotation_table import SCHEMA, completed, from_table, to_table
from curate.runs.commits import annotation_name
from curate.storage.retrying_store import scratch_file
from curate.storage.store import Store

PART_ROWS = 400
"""Rows in the journals of a worker's shards that a kill may cost, beside `curate.annotation.reorder_buffer.BACKLOG`."""
PART_SECONDS = 30.0
"""How old such a row may be when the next one comes."""
ROW_GROUP = 10_000


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows [first, end) of a shard in a file of their own."""

    name: str
    first: int
    end: int


class Journal:
    """The rows of one shard under one policy.

    Args:
        store: the run's folder.
        policy, shard: whose rows these are.
        identity: everything a checkpoint must agree with to count (fingerprint, shard version, ...).
        metadata: Parquet key-value metadata of the final file.
    """

    def __init__(self, store: Store, policy: str, shard: str, identity: str, metadata: Mapping[str, str]) -> None:
        self._store = store
        self._target = annotation_name(policy, shard)
        self._folder = f"work/parts/{policy}/{shard}"
        self._prefix = hashlib.sha256(identity.encode()).hexdigest()[:8]
        self._metadata = dict(metadata)
        self._parts = self._chain()
        self._rows: list[Annotation] = []
        self._flushed_at = time.monotonic()

    @property
    def next_row(self) -> int:
        """Number of the first row that is not there yet, counted from 0 over the pictures of all samples."""
        return self._flushed + len(self._rows)

    def is_due(self, shards: int = 1) -> bool:
        """Whether it is time for a checkpoint: the rows that a kill would cost are many or old.

        Args:
            shards: how many a worker has in work at once.
        """
        return len(self._rows) * shards >= PART_ROWS or time.monotonic() - self._flushed_at >= PART_SECONDS

    def rows(self) -> Iterator[Annotation]:
        """The rows so far, in order."""
        for table in self._tables():
            yield from from_table(table)

    def add(self, number: int, row: Annotation) -> None:
        """Append the row of the next picture; `number` says which it is."""
        if number != self.next_row:
            raise AssertionError(f"row {number} (index {row.index}) added where {self.next_row} is due")
        self._rows.append(row)

    def checkpoint(self) -> None:
        """Make every row added so far survive a kill."""
        self._flushed_at = time.monotonic()
        if not self._rows:
            return
        part = _Part(self._part_name(self._flushed, self.next_row), self._flushed, self.next_row)
        with scratch_file(self._store) as scratch:
            pq.write_table(to_table(self._rows), scratch, compression="zstd")
            self._store.publish(scratch, part.name)
        self._parts.append(part)
        self._rows = []

    def publish(self) -> None:
        """Publish the annotation file; where another worker was first, its file stands."""
        with scratch_file(self._store) as scratch:
            write_rows(scratch, self._tables(), self._metadata)
            self._store.publish(scratch, self._target)

    def discard(self) -> None:
        """Delete all checkpoints of this shard, those of other identities too; only after the commit."""
        for name in self._store.names(self._folder):
            self._store.delete(f"{self._folder}/{name}")

    @property
    def _flushed(self) -> int:
        return self._parts[-1].end if self._parts else 0

    def _part_name(self, first: int, end: int) -> str:
        return f"{self._folder}/{self._prefix}-{first:012d}-{end:012d}.parquet"

    def _chain(self) -> list[_Part]:
        """The parts that cover rows from 0 without a gap; two workers' parts may overlap."""
        parts = [_parse(f"{self._folder}/{name}") for name in self._store.names(self._folder) if self._ours(name)]
        chain: list[_Part] = []
        end = 0
        while reaching := [p for p in parts if p.first <= end < p.end]:
            furthest = max(reaching, key=lambda p: p.end)
            chain.append(_Part(furthest.name, end, furthest.end))
            end = furthest.end
        return chain

    def _ours(self, name: str) -> bool:
        return name.startswith(f"{self._prefix}-") and name.endswith(".parquet")

    def _tables(self) -> Iterator[pa.Table]:
        for part in self._parts:
            with self._store.open(part.name) as file:
                table = pq.read_table(file, schema=SCHEMA)
            yield table.slice(part.first - _parse(part.name).first, part.end - part.first)
        if self._rows:
            yield to_table(self._rows)


def saved_rows(store: Store, shard: str) -> int:
    """How far the checkpoints of a shard reach, over all policies: what grows as long as workers get on with it."""
    folders = [f"work/parts/{policy}/{shard}" for policy in store.folders("work/parts")]
    return sum(max((_parse(f"{f}/{name}").end for name in store.names(f)), default=0) for f in folders)


def write_rows(path: Path, tables: Iterator[pa.Table], metadata: Mapping[str, str]) -> None:
    """Write an annotation file; the same rows and metadata give the same bytes, however they are cut into tables."""
    with pq.ParquetWriter(path, SCHEMA.with_metadata(dict(metadata)), compression="zstd") as writer:
        for table in regroup(tables, ROW_GROUP):
            writer.write_table(table.replace_schema_metadata(dict(metadata)), row_group_size=ROW_GROUP)


def read_rows(file: BufferedIOBase | str) -> Iterator[Annotation]:
    """The rows of an annotation file in order, streamed."""
    with pq.ParquetFile(file) as table:
        for batch in table.iter_batches(batch_size=1024):
            yield from from_table(batch)


def regroup(tables: Iterator[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly `size` rows, the last one smaller; holds at most one such table."""
    held = SCHEMA.empty_table()
    for table in tables:
        held = pa.concat_tables([held, completed(table).replace_schema_metadata(None)])
        while held.num_rows >= size:
            yield held.slice(0, size).combine_chunks()
            held = held.slice(size)
    if held.num_rows:
        yield held.combine_chunks()


def _parse(name: str) -> _Part:
    _, first, end = name.rsplit("/", 1)[1].removesuffix(".parquet").split("-")
    return _Part(name, int(first), int(end))
