"""The rows of a committed shard as a local Parquet file, whether they stand in a file of their own or in a part."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from curate.runs.annotation_table import SCHEMA, completed
from curate.runs.commits import Commit, annotation_name
from curate.runs.compaction.index import Span, read_indexes
from curate.runs.journal import write_rows
from curate.storage.store import Store

T = TypeVar("T")
_Spans = Mapping[tuple[str, str], Span]


class AnnotationFiles:
    """Reads annotations of a run, compacted or not; several threads may share one.

    It holds the indexes of the policies that were asked for, one footer and one row group: where shards are read in the
    order of the plan, each row group is read once.

    Args:
        store: the run's folder.
        pin: keep small files that are being read from vanishing, with a second link in the run's folder, for readers
            that take their time; others only look whether a file is there.
    """

    def __init__(self, store: Store, *, pin: bool = False) -> None:
        self._store = store
        self._pin = pin
        self._spans: dict[str, _Spans] = {}
        self._footer: tuple[str, pq.FileMetaData] | None = None
        self._group: tuple[str, int, pa.Table] | None = None
        self._lock = Lock()

    @contextmanager
    def local(self, commit: Commit) -> Iterator[Path]:
        """The annotation file that `commit` speaks of, as a file of this machine, which goes.

        Raises:
            FileNotFoundError: the rows are nowhere.
        """
        with ExitStack() as files:
            yield self._found(commit, lambda: self._open(commit, files))

    def in_part(self, commit: Commit) -> pa.Table | None:
        """The rows that `commit` speaks of, with the metadata of their file; None where they have a file of their own.

        For readers of one shard after the other: most take less time than `local` takes to write a file.

        Raises:
            FileNotFoundError: the part is not there.
            pa.ArrowException: it cannot be read.
        """
        return self._found(commit, lambda: self._table(commit))

    def span(self, commit: Commit) -> Span | None:
        """Where the rows stand in a part; None for a file of their own."""
        with self._lock:
            if commit.policy not in self._spans:
                indexes = read_indexes(self._store, commit.policy)
                self._spans[commit.policy] = {(s.shard, s.sha256): s for index in indexes for s in index.spans}
            return self._spans[commit.policy].get((commit.shard, commit.sha256))

    def _found(self, commit: Commit, read: Callable[[], T]) -> T:
        """A file or part that is gone since the index was read was compacted meanwhile: the index is read again."""
        try:
            return read()
        except FileNotFoundError:
            with self._lock:
                self._spans.pop(commit.policy, None)
        return read()

    def _table(self, commit: Commit) -> pa.Table | None:
        span = self.span(commit)
        if span is None:
            return None
        tables = list(self._tables(span)) or [SCHEMA.empty_table()]  # a shard without samples has no row group
        return pa.concat_tables(tables).replace_schema_metadata(json.loads(span.metadata))

    def _open(self, commit: Commit, files: ExitStack) -> Path:
        span = self.span(commit)
        if span is None:
            name = annotation_name(commit.policy, commit.shard)
            return self._own_file(files.enter_context(self._store.local(name)), files)
        descriptor, name = tempfile.mkstemp(prefix="curate-", suffix=".parquet")
        os.close(descriptor)
        path = Path(name)
        files.callback(path.unlink, missing_ok=True)
        write_rows(path, self._tables(span), json.loads(span.metadata))
        return path

    def _own_file(self, path: Path, files: ExitStack) -> Path:
        if not self._pin:
            path.stat()
            return path
        scratch = self._store.scratch()
        link = scratch.with_name(f"{scratch.name}.parquet")
        try:
            os.link(path, link)
        except FileNotFoundError:
            raise
        except OSError:  # No hard links here: a compaction meanwhile is an error, and nothing worse.
            return path
        files.callback(link.unlink, missing_ok=True)
        return link

    def _tables(self, span: Span) -> Iterator[pa.Table]:
        """The span's rows, a row group at a time."""
        footer, start, end = self._read_footer(span.part), 0, span.first + span.rows
        for number in range(footer.num_row_groups):
            rows = footer.row_group(number).num_rows
            low, high = max(span.first, start), min(end, start + rows)
            if low < high:
                yield completed(self._read_group(span.part, footer, number)).slice(low - start, high - low)
            start += rows

    def _read_footer(self, part: str) -> pq.FileMetaData:
        with self._lock:
            if self._footer is None or self._footer[0] != part:
                with self._store.open(part) as file:
                    self._footer = (part, pq.read_metadata(file))
            return self._footer[1]

    def _read_group(self, part: str, footer: pq.FileMetaData, number: int) -> pa.Table:
        with self._lock:
            if self._group is None or self._group[:2] != (part, number):
                with self._store.open(part) as file, pq.ParquetFile(file, metadata=footer, pre_buffer=True) as opened:
                    self._group = (part, number, opened.read_row_group(number))
            return self._group[2]
