"""The annotation table: its schema, and rows to and from Arrow.

Strings that repeat are dictionary-encoded in the file (Parquet does it for every string column) but typed as plain
strings, because `datasets` cannot load an Arrow dictionary type.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from curate.core.types import Annotation, Rating, Status

SCHEMA_VERSION = 1

SCORES = pa.list_(pa.struct([pa.field("category", pa.string()), pa.field("score", pa.float32())]))
"""Of `category_scores`: what would be a map, if `datasets` could load one."""

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("image_name", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("rating", pa.string()),
        pa.field("category", pa.string()),
        pa.field("category_name", pa.string()),
        pa.field("rationale", pa.string()),
        pa.field("p_unsafe", pa.float32()),
        pa.field("label_mass", pa.float32()),
        pa.field("category_scores", SCORES),
        pa.field("detail", pa.string()),
        pa.field("frames", pa.list_(pa.int32())),
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

_POLARS_SCHEMA = pl.Schema(SCHEMA)

_STRICTEST_FIRST = (
    pl.col("status") == Status.LABELLED.value,
    pl.col("rating") != Rating.UNSAFE.value,
    -pl.col("p_unsafe").fill_null(0.0),
)

ADDED = ("image_name", "frames", "category_scores")
"""Columns that files of earlier versions do not have; null there."""


def completed(table: pa.Table, columns: Sequence[str] = tuple(SCHEMA.names)) -> pa.Table:
    """Rows of any version in `columns` of `SCHEMA`; the table's own metadata stay."""
    if table.schema.names == list(columns):
        return table
    for name in (name for name in ADDED if name in columns and name not in table.schema.names):
        table = table.append_column(SCHEMA.field(name), pa.nulls(table.num_rows, SCHEMA.field(name).type))
    return table.select(list(columns))


def of_samples(rows: pl.LazyFrame) -> pl.LazyFrame:
    """One row for each sample of a shard, in order: that of its strictest picture.

    What was not judged stands above what is Unsafe, and that above what is Safe.
    """
    return rows.sort("index", *_STRICTEST_FIRST, maintain_order=True).unique("index", keep="first", maintain_order=True)


def scanned(path: Path) -> pl.LazyFrame:
    """The rows of an annotation file of any version, in the columns of `SCHEMA`."""
    return pl.scan_parquet(path, schema=_POLARS_SCHEMA, missing_columns="insert", glob=False)


def to_table(rows: Iterable[Annotation], metadata: Mapping[str, str] | None = None) -> pa.Table:
    """Arrow table of `rows` in `SCHEMA`, with `metadata` as Parquet key-value metadata."""
    return pa.Table.from_pylist([_record(row) for row in rows], schema=SCHEMA.with_metadata(dict(metadata or {})))


def from_table(table: pa.Table | pa.RecordBatch) -> Iterator[Annotation]:
    """Annotation rows of an Arrow table in `SCHEMA`, or in that of an earlier version."""
    for row in table.to_pylist():
        rating, frames, scores, status = (row.pop(n, None) for n in ("rating", "frames", "category_scores", "status"))
        yield Annotation(
            **row,
            rating=Rating(rating) if rating else None,
            frames=None if frames is None else tuple(frames),
            category_scores=None if scores is None else {one["category"]: one["score"] for one in scores},
            status=Status(status),
        )


def _record(row: Annotation) -> dict[str, Any]:
    record, scores = asdict(row), row.category_scores
    if scores is not None:
        record["category_scores"] = [{"category": code, "score": score} for code, score in scores.items()]
    return record
