"""One decision for each sample of a shard, out of its annotations under one or several policies.

Several policies are combined by the strictest fate (`combine=any_unsafe`): failed, then unsafe, review, further splits
as declared, clean last. Of policies that agree the first one is named. A sample that was not judged under every policy
is failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce

import polars as pl

from curate.filtering.rules import CLEAN, FAILED, Rules
from curate.filtering.subdivide import part_column
from curate.settings.filter import FilterSettings

SCHEMA = pl.Schema(
    {
        "key": pl.String(),
        "shard": pl.String(),
        "index": pl.Int64(),
        "sha256": pl.String(),
        "status": pl.String(),
        "rating": pl.String(),
        "category": pl.String(),
        "category_name": pl.String(),
        "rationale": pl.String(),
        "p_unsafe": pl.Float32(),
        "p_calibrated": pl.Float32(),
        "meta": pl.String(),
        "policy": pl.String(),
        "split": pl.String(),
        "part": pl.String(),
        "reason": pl.String(),
    }
)
"""Columns of a decision. `p_unsafe` is as judged, `p_calibrated` what the rules saw in its place where there is a
calibration; `policy` is the one that decided; `part` is the folder in splits/, e.g. "clean/train"."""

WINDOW = 20_000
"""Rows that are decided at a time: what bounds memory, whatever a shard's size and the engine's plans."""

_INCOMPLETE = "not judged under every policy"


def decide(annotations: Mapping[str, pl.LazyFrame], rules: Rules, settings: FilterSettings) -> pl.LazyFrame:
    """Decisions of one shard, in order of index, in `SCHEMA`.

    Args:
        annotations: rows of the shard by policy, each sorted by index.
        rules: what they are held against.
        settings: the shares of `clean`.
    """
    judged = [
        rules.apply(rows).with_columns(fate=rules.strictness() * len(annotations) + position)
        for position, rows in enumerate(annotations.values())
    ]
    decided = judged[0] if len(judged) == 1 else _strictest(judged)
    return decided.with_columns(_part(settings)).select(SCHEMA.names())


def decide_windows(
    annotations: Mapping[str, pl.LazyFrame],
    rows: int,
    rules: Rules,
    settings: FilterSettings,
    columns: Sequence[str],
) -> Iterator[pl.DataFrame]:
    """`decide` for rows 0 to `rows` of a shard, a window at a time, in order, with the `columns` of `SCHEMA`.

    Nothing is read of annotations that these columns do not depend on.
    """
    for start in range(0, rows, WINDOW):
        inside = pl.col("index").is_between(start, start + WINDOW - 1)
        window = annotations if rows <= WINDOW else {p: frame.filter(inside) for p, frame in annotations.items()}
        yield decide(window, rules, settings).select(columns).collect(engine="streaming")


def _strictest(judged: list[pl.LazyFrame]) -> pl.LazyFrame:
    """Of the rows of each sample the one with the lowest fate.

    The winners are found on a narrow scan of their own, so that the wide rows stream through a merge and a join.
    """
    narrow = pl.concat([rows.select("index", "fate") for rows in judged])
    winners = narrow.group_by("index").agg(pl.col("fate").min(), rows=pl.len())
    merged = reduce(lambda left, right: left.merge_sorted(right, key="index"), judged)
    incomplete = pl.col("rows") < len(judged)
    return merged.join(winners, on=["index", "fate"], how="inner", maintain_order="left").with_columns(
        split=pl.when(incomplete).then(pl.lit(FAILED)).otherwise("split"),
        reason=pl.when(incomplete).then(pl.lit(_INCOMPLETE)).otherwise("reason"),
    )


def _part(settings: FilterSettings) -> pl.Expr:
    split = pl.col("split")
    if not settings.subdivide:
        return split.alias("part")
    subset = part_column(pl.col("key"), settings.subdivide, settings.seed)
    return pl.when(split == CLEAN).then(pl.format("{}/{}", split, subset)).otherwise(split).alias("part")
