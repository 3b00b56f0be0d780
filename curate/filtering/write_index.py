"""Split files that only name their samples: a few bytes a sample, and no source is read again.

A window of decisions goes to the files as columns, never as rows: with 100 million of them that is what takes the time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from curate.filtering.writer import Format
from curate.storage.retrying_store import scratch_file
from curate.storage.store import Store

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("shard", pa.string()),
        pa.field("index", pa.int64()),
        pa.field("sha256", pa.string()),
    ]
)

INDEX = Format(suffix="parquet")


class IndexFiles:
    """The index files of one shard, one for each part that holds any of it; a context manager.

    Args:
        store: where they are published.
        name: of the file for a part; None where there is one already.
    """

    def __init__(self, store: Store, name: Callable[[str], str | None]) -> None:
        self._store = store
        self._name = name
        self._open: dict[str, tuple[Path, pq.ParquetWriter]] = {}
        self._files = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, trace)

    def add(self, decisions: pl.DataFrame) -> None:
        """Append decisions, which have the columns of `SCHEMA` and `part`, each to its file."""
        for (part,), rows in decisions.partition_by("part", as_dict=True, include_key=False).items():
            if self._name(part) is not None:
                table = rows.select(SCHEMA.names).to_arrow(compat_level=pl.CompatLevel.oldest())
                self._writer(part).write_table(table.cast(SCHEMA))

    def publish(self) -> None:
        """Finish every file, then publish them."""
        for _, writer in self._open.values():
            writer.close()
        for part, (scratch, _) in self._open.items():
            name = self._name(part)
            assert name is not None
            self._store.publish(scratch, name)

    def _writer(self, part: str) -> pq.ParquetWriter:
        if part not in self._open:
            scratch = self._files.enter_context(scratch_file(self._store))
            # Keys and digests are all different: a dictionary of them would be written for nothing.
            writer = pq.ParquetWriter(scratch, SCHEMA, compression="zstd", use_dictionary=["shard"])
            self._files.callback(writer.close)
            self._open[part] = scratch, writer
        return self._open[part][1]
