"""Decisions as the writers see them: one frozen row at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from curate.core.types import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of one sample; see `curate.filtering.decide.SCHEMA`."""

    key: str
    shard: str
    index: int
    image_name: str | None
    sha256: str | None
    status: str
    rating: str | None
    category: str | None
    category_name: str | None
    rationale: str | None
    p_unsafe: float | None
    p_calibrated: float | None
    meta: str
    policy: str
    split: str
    part: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A decision and the sample it is about."""

    decision: Decision
    sample: Sample


def to_decisions(frames: Iterable[pl.DataFrame]) -> Iterator[Decision]:
    """The rows of frames in `curate.filtering.decide.SCHEMA`, one by one."""
    for frame in frames:
        for row in frame.iter_rows(named=True):
            yield Decision(**row)
