"""Samples counted by all that a report shows, shard by shard, so that nothing but the counts outlives a shard."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import polars as pl

from curate.filtering.rules import CLEAN, sidecar_field
from curate.settings.dataset import DatasetSettings

LABELS = pl.Schema({"label": pl.String(), "total": pl.Int64(), "removed": pl.Int64()})
"""Columns of `Counts.labels`."""


class Fate(NamedTuple):
    """What samples are counted by; None where a row has none."""

    split: str
    part: str
    status: str
    rating: str | None
    category: str | None
    category_name: str | None
    reason: str


class Counts:
    """Counts of samples, to which each shard is added once.

    Args:
        dataset: names the source's own label, if any.
    """

    def __init__(self, dataset: DatasetSettings) -> None:
        self.files: Counter[str] = Counter()
        self._label = dataset.label
        self._fates: Counter[Fate] = Counter()
        self._totals: Counter[str | None] = Counter()
        self._removed: Counter[str | None] = Counter()

    def take(self, decisions: pl.DataFrame) -> None:
        """Count decisions, which have the columns of `Fate`, and `meta` where the source has labels."""
        for *values, rows in decisions.group_by(*Fate._fields).len().iter_rows():
            self._fates[Fate(*values)] += rows
        if self._label is not None:
            self._take_labels(decisions.lazy(), self._label)

    def add(self, shard: Counts) -> None:
        """Add what was counted of one shard, which has one file in each part that holds any of it."""
        self._fates.update(shard._fates)
        self._totals.update(shard._totals)
        self._removed.update(shard._removed)
        self.files.update(shard.parts())

    @property
    def rows(self) -> int:
        """All samples that were counted."""
        return self._fates.total()

    def parts(self) -> set[str]:
        """Folders below splits/ that hold a sample."""
        return {fate.part for fate in self._fates}

    def by(self, *columns: str, removed: bool = False) -> list[tuple[tuple[str | None, ...], int]]:
        """Number of samples for each combination of values in `columns` of `Fate`, in order of the values, None last.

        Args:
            columns: what to count by.
            removed: whether to count only what is not in `clean`.
        """
        counts: Counter[tuple[str | None, ...]] = Counter()
        for fate, rows in self._fates.items():
            if not removed or fate.split != CLEAN:
                counts[tuple(getattr(fate, column) for column in columns)] += rows
        return sorted(counts.items(), key=lambda item: [(value is None, value or "") for value in item[0]])

    def labels(self) -> pl.DataFrame:
        """For each label of the source, in `LABELS`: its samples, and how many of them were removed; the most first."""
        rows = [(label, total, self._removed[label]) for label, total in self._totals.items()]
        share = pl.col("removed") / pl.col("total")
        table = pl.DataFrame(rows, schema=LABELS, orient="row").with_columns(share=share)
        return table.sort("share", "removed", "label", descending=[True, True, False])

    def _take_labels(self, decisions: pl.LazyFrame, label: str) -> None:
        removed = (pl.col("split") != CLEAN).sum()
        table = decisions.group_by(source_label(label)).agg(total=pl.len(), removed=removed).collect()
        for name, total, gone in table.iter_rows():
            self._totals[name] += total
            self._removed[name] += gone


def source_label(label: str | None) -> pl.Expr:
    """The source's own class as a column `label` of text; null where it has none."""
    return (pl.lit(None, dtype=pl.String) if label is None else sidecar_field(label, "string")).alias("label")
