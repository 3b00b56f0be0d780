"""Scores with intervals, of all rows and of groups of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from curate.evaluation.intervals import Interval, score_intervals
from curate.evaluation.metrics import counts_of, scores_of
from curate.evaluation.outcomes import Outcomes

GROUPINGS = ("category", "split", "policy")
"""Gold columns that rows are grouped by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a table row shows: counts and scores by name, and the interval of each score."""

    counts: Mapping[str, int]
    scores: Mapping[str, float | None]
    intervals: Mapping[str, Interval]

    def to_json(self) -> dict[str, object]:
        """Counts and scores side by side, as metrics.json has them, the intervals below them."""
        return {**self.counts, **self.scores, "intervals": {k: list(v) for k, v in self.intervals.items()}}


def summarise(outcomes: Outcomes) -> Summary:
    """Counts, scores and intervals of at least one row."""
    counts = counts_of(outcomes)
    return Summary(counts=counts, scores=scores_of(counts), intervals=score_intervals(outcomes))


def breakdown(outcomes: Outcomes, column: str) -> dict[str, Summary]:
    """The summary of each value of a gold column; empty where no row has a value."""
    values = outcomes.rows[column].drop_nulls().unique().sort()
    return {value: summarise(outcomes.where(pl.col(column) == value)) for value in values}
