"""One decision for each sample of a shard, out of the annotations of its pictures under one or several policies.

Several pictures, and several policies, are combined by the strictest fate (`combine=any_unsafe`): failed, then unsafe,
review, further splits as declared, clean last. Of policies that agree the first one is named, and its first picture.
A sample of which not every picture was judged under every policy is failed.
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
        "image_name": pl.String(),
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
calibration; `policy` and `image_name` are those that decided, and `sha256` is of that picture; `part` is the folder in
splits/, e.g. "clean/train"."""

WINDOW = 20_000
"""Samples that are decided at a time: what bounds memory, whatever a shard's size and the engine's plans."""

_PICTURES = 2**32
"""More than a sample has: what tells the fates of its pictures apart."""

_INCOMPLETE = "not judged under every policy"


def decide(
    annotations: Mapping[str, pl.LazyFrame], rules: Rules, settings: FilterSettings, *, single: bool = False
) -> pl.LazyFrame:
    """Decisions of one shard, in order of index, in `SCHEMA`.

    Args:
        annotations: rows of the shard by policy, each sorted by index.
        rules: what they are held against.
        settings: the shares of `clean`.
        single: says that each sample has one row under each policy, which saves looking.
    """
    judged = [
        rules.apply(rows)
        .with_columns(picture=pl.lit(0, pl.Int64) if single else pl.int_range(pl.len()).over("index"))
        .with_columns(fate=(rules.strictness() * len(annotations) + position) * _PICTURES + pl.col("picture"))
        for position, rows in enumerate(annotations.values())
    ]
    decided = judged[0] if single and len(judged) == 1 else _strictest(judged)
    return decided.with_columns(_part(settings)).select(SCHEMA.names())


def decide_windows(
    annotations: Mapping[str, pl.LazyFrame],
    samples: int,
    rules: Rules,
    settings: FilterSettings,
    columns: Sequence[str],
    *,
    single: bool = False,
) -> Iterator[pl.DataFrame]:
    """`decide` for samples 0 to `samples` of a shard, a window at a time, in order, with the `columns` of `SCHEMA`.

    Nothing is read of annotations that these columns do not depend on.
    """
    for start in range(0, samples, WINDOW):
        inside = pl.col("index").is_between(start, start + WINDOW - 1)
        window = annotations if samples <= WINDOW else {p: frame.filter(inside) for p, frame in annotations.items()}
        yield decide(window, rules, settings, single=single).select(columns).collect(engine="streaming")


def _strictest(judged: list[pl.LazyFrame]) -> pl.LazyFrame:
    """Of the rows of each sample the one with the lowest fate.

    The winners are found on a narrow scan of their own, so that the wide rows stream through a merge and a join.
    """
    narrow = pl.concat([rows.select("index", "fate", "picture") for rows in judged])
    winners = narrow.group_by("index").agg(pl.col("fate").min(), rows=pl.len(), pictures=pl.col("picture").max() + 1)
    merged = reduce(lambda left, right: left.merge_sorted(right, key="index"), judged)
    incomplete = pl.col("rows") < len(judged) * pl.col("pictures")
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
