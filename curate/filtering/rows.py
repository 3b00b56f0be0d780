"""Decisions as the writers see them: one frozen row at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from curate.types import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of one sample; see `curate.filtering.decide.SCHEMA`."""

    key: str
    shard: str
    index: int
    sha256: str | None
    status: str
    rating: str | None
    category: str | None
    category_name: str | None
    rationale: str | None
    p_unsafe: float | None
    meta: str
    policy: str
    split: str
    part: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A decision and, for writers that copy, the sample it is about."""

    decision: Decision
    sample: Sample | None = None


def read_decisions(folder: Path) -> Iterator[Decision]:
    """The decisions in the files of a folder, in order; holds one batch of them."""
    for path in sorted(folder.iterdir()):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                yield from (Decision(**row) for row in batch.to_pylist())
