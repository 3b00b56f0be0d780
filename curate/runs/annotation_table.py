"""The annotation table: its schema, and rows to and from Arrow.

Strings that repeat are dictionary-encoded in the file (Parquet does it for every string column) but typed as plain
strings, because `datasets` cannot load an Arrow dictionary type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict

import pyarrow as pa

from curate.core.types import Annotation

SCHEMA_VERSION = 1

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("sha256", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("rating", pa.string()),
        pa.field("category", pa.string()),
        pa.field("category_name", pa.string()),
        pa.field("rationale", pa.string()),
        pa.field("p_unsafe", pa.float32()),
        pa.field("label_mass", pa.float32()),
        pa.field("detail", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("policy", pa.string(), nullable=False),
        pa.field("reused_from", pa.string()),
        pa.field("prompt_tokens", pa.int32()),
        pa.field("cached_tokens", pa.int32()),
        pa.field("output_tokens", pa.int32()),
        pa.field("meta", pa.string()),
    ]
)
"""Columns of annotations/<policy>/<shard-id>.parquet, in order."""


def to_table(rows: Iterable[Annotation], metadata: Mapping[str, str] | None = None) -> pa.Table:
    """Arrow table of `rows` in `SCHEMA`, with `metadata` as Parquet key-value metadata."""
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA.with_metadata(dict(metadata or {})))
