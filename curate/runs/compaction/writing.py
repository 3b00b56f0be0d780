"""One part: the rows of its shards one after the other, streamed, and read back before anything counts on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from curate.core.errors import InputError
from curate.runs.annotation_table import SCHEMA, completed
from curate.runs.commits import Commit, annotation_name
from curate.runs.compaction.grouping import Group
from curate.runs.compaction.index import Part, Span
from curate.runs.compaction.reading import AnnotationFiles
from curate.runs.journal import ROW_GROUP
from curate.storage.retrying_store import scratch_file
from curate.storage.store import Store

_SPANS = "curate.spans"


def write_part(store: Store, files: AnnotationFiles, group: Group) -> tuple[Part, list[Span]]:
    """Write and publish the part of a group; one that is there already stands.

    Memory is bounded by two row groups, whatever the shards are.

    Raises:
        InputError: an annotation file is not the one that its commit speaks of.
    """
    if not store.exists(group.name):
        with scratch_file(store) as scratch:
            writer = _Writer(scratch, group)
            for commit in group.commits:
                with files.local(commit) as path:
                    _check(store, files, commit, path)
                    writer.add(commit, path)
            writer.close()
            writer.check()
            store.publish(scratch, group.name)
    return _describe(store, group.name)


class _Writer:
    """Writes shard after shard; row groups are as large as those of a large shard, and hold several small ones."""

    def __init__(self, path: Path, group: Group) -> None:
        self._path = path
        self._name = group.name
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")
        self._held: list[pa.Table] = []
        self._rows = 0
        self._spans: list[Span] = []
        self._digests: list[str] = []

    def add(self, commit: Commit, path: Path) -> None:
        """Append the rows of an annotation file."""
        digest, rows = _Digest(), 0
        with pq.ParquetFile(path) as file:
            metadata = _plain(file.schema_arrow.metadata)
            for table in map(completed, _row_groups(file)):
                rows += table.num_rows
                digest.add(table)
                self._append(table.replace_schema_metadata(None))
        span = Span(
            shard=commit.shard,
            part=self._name,
            first=self._spans[-1].first + self._spans[-1].rows if self._spans else 0,
            rows=rows,
            sha256=commit.sha256,
            bytes=commit.file_bytes,
            metadata=json.dumps(metadata),
        )
        self._spans.append(span)
        self._digests.append(digest.hex())

    def close(self) -> None:
        """Write what is held, and what stands where."""
        self._flush()
        self._writer.add_key_value_metadata({_SPANS: json.dumps([_to_list(span) for span in self._spans])})
        self._writer.close()

    def check(self) -> None:
        """Read everything back: small files are deleted on the word of this part."""
        with pq.ParquetFile(self._path) as part:
            tables = _row_groups(part)
            held = SCHEMA.empty_table()
            for span, digest in zip(self._spans, self._digests, strict=True):
                found, left = _Digest(), span.rows
                while left:
                    held = held if held.num_rows else next(tables)
                    taken = held.slice(0, left)
                    held = held.slice(taken.num_rows)
                    left -= taken.num_rows
                    found.add(taken)
                if found.hex() != digest:
                    raise AssertionError(f"{self._name}: rows of {span.shard} read back are not those written")

    def _append(self, table: pa.Table) -> None:
        self._held.append(table)
        self._rows += table.num_rows
        if self._rows >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            table = pa.concat_tables(self._held).combine_chunks()
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._held, self._rows = [], 0


class _Digest:
    """Of rows in their order, however they are cut into tables; good within this process."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b()

    def add(self, table: pa.Table) -> None:
        if table.num_rows:
            self._hash.update(pl.DataFrame(table).hash_rows().to_numpy().tobytes())

    def hex(self) -> str:
        return self._hash.hexdigest()


def _row_groups(file: pq.ParquetFile) -> Iterator[pa.Table]:
    return (file.read_row_group(number) for number in range(file.num_row_groups))


def _check(store: Store, files: AnnotationFiles, commit: Commit, path: Path) -> None:
    """A file of its own must be the committed one; rows from a part were held against it when they went there."""
    if files.span(commit) is not None:
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != commit.sha256:
        name = store.uri(annotation_name(commit.policy, commit.shard))
        raise InputError(f"{name}: is not the file that its commit speaks of; `verify` tells more")


def _describe(store: Store, name: str) -> tuple[Part, list[Span]]:
    """A part as it stands, which may be another process's."""
    with store.open(name) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
        file.seek(0)
        recorded = json.loads(pq.read_metadata(file).metadata[_SPANS.encode()])
    spans = [Span(**dict(zip(_RECORDED, values, strict=True)), part=name) for values in recorded]
    return Part(name=name, bytes=size, sha256=digest), spans


_RECORDED = ("shard", "first", "rows", "sha256", "bytes", "metadata")


def _to_list(span: Span) -> list[object]:
    return [getattr(span, name) for name in _RECORDED]


def _plain(metadata: dict[bytes, bytes] | None) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (metadata or {}).items()}
