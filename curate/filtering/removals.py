"""What was removed and why, as a table of samples and as shares of what the source itself calls them.

Removed is what is not in `clean`. A safeguard that removes half of one class and a hundredth of the others changes what
a data set is; the shares by the source's own label are there to see that.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from curate.filtering.rules import CLEAN, sidecar_field
from curate.filtering.sinking import sink
from curate.settings import DatasetSettings

_REMOVED = pl.col("split") != CLEAN
_COLUMNS = ["key", "shard", "index", "sha256", "split", "reason", "policy", "status", "rating", "category"]


def with_label(decisions: pl.LazyFrame, dataset: DatasetSettings) -> pl.LazyFrame:
    """`decisions` with the column `label`: the source's own class as text, null where it has none."""
    label = sidecar_field(dataset.label, "string") if dataset.label else pl.lit(None, dtype=pl.String)
    return decisions.with_columns(label.alias("label"))


def write_removed(decisions: pl.LazyFrame, dataset: DatasetSettings, path: Path) -> None:
    """Write one row for each removed sample: what it was, where it went and why."""
    rows = with_label(decisions, dataset).filter(_REMOVED)
    sink(rows.select(*_COLUMNS, "category_name", "p_unsafe", "label"), path, "zstd")


def write_by_label(decisions: pl.LazyFrame, dataset: DatasetSettings, path: Path) -> None:
    """Write one row for each label: how many samples have it, how many were removed, and their share."""
    counts = with_label(decisions, dataset).group_by("label").agg(total=pl.len(), removed=_REMOVED.sum())
    shares = counts.with_columns(share=pl.col("removed") / pl.col("total"))
    sink(shares.sort("share", "removed", "label", descending=[True, True, False]), path, "zstd")


def count(decisions: pl.LazyFrame, *columns: str) -> list[tuple[tuple[str | None, ...], int]]:
    """Number of decisions for each combination of values in `columns`, in order of the values."""
    table = decisions.group_by(*columns).len("rows").sort(*columns, nulls_last=True)
    return [(tuple(row[:-1]), row[-1]) for row in table.collect(engine="streaming").iter_rows()]
