"""Split files that only name their samples: a few bytes a sample, and no source is read again."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curate.filtering.rows import Row
from curate.filtering.writer import Format
from curate.settings import DatasetSettings, FilterSettings

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("shard", pa.string()),
        pa.field("index", pa.int64()),
        pa.field("sha256", pa.string()),
    ]
)
_ROW_GROUP = 10_000


class IndexWriter:
    """Writes `SCHEMA`; see `curate.filtering.writer.SplitWriter`."""

    def __init__(self, path: Path, filtering: FilterSettings, dataset: DatasetSettings) -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")
        self._held: list[dict[str, object]] = []

    def add(self, row: Row) -> None:
        """See `SplitWriter`."""
        self._held.append({name: getattr(row.decision, name) for name in SCHEMA.names})
        if len(self._held) >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """See `SplitWriter`."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_pylist(self._held, schema=SCHEMA))
            self._held = []


INDEX = Format(suffix="parquet", open=IndexWriter, copies=False)
