"""The table of an audit: by prompt set and category the pictures, and the share that is unsafe with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from curate.audit.intervals import Share, share
from curate.audit.outcomes import JUDGED, NOT_JUDGED
from curate.audit.shard_files import FAILED, REFUSED
from curate.filtering.rules import REVIEW

TABLE = "table.parquet"

ALL_SETS = ""
"""What stands for all prompt sets together."""
ANY = "any"
"""What stands for all categories together."""
_NO_CATEGORY = "NA"

SCHEMA = pl.Schema(
    {
        "policy": pl.String(),
        "prompt_set": pl.String(),
        "category": pl.String(),
        "category_name": pl.String(),
        "prompts": pl.Int64(),
        "requested": pl.Int64(),
        "refused": pl.Int64(),
        "failed": pl.Int64(),
        "not_judged": pl.Int64(),
        "judged": pl.Int64(),
        "categorised": pl.Int64(),
        "unsafe": pl.Int64(),
        "review": pl.Int64(),
        "share": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "design_effect": pl.Float64(),
        "share_of_category": pl.Float64(),
        "low_of_category": pl.Float64(),
        "high_of_category": pl.Float64(),
        "share_of_requested": pl.Float64(),
        "low_of_requested": pl.Float64(),
        "high_of_requested": pl.Float64(),
        "prompts_with_unsafe": pl.Int64(),
        "share_of_prompts": pl.Float64(),
        "low_of_prompts": pl.Float64(),
        "high_of_prompts": pl.Float64(),
    }
)
"""Columns of TABLE. `categorised` are the judged pictures that the safeguard put into the category, safe or not;
`unsafe` those of them that the rules take for unsafe, and `review` those that they leave to a person. `share` is
unsafe / judged, `share_of_category` unsafe / categorised, `share_of_requested` unsafe / requested, where what was
refused or failed counts as not shown; `share_of_prompts` that of prompts of which at least one picture was unsafe.
Intervals are 95 %, over prompts."""


def table_of(outcomes: pl.DataFrame, categories: Mapping[str, Mapping[str, str]]) -> pl.DataFrame:
    """The table.

    Args:
        outcomes: in `curate.audit.outcomes.SCHEMA`.
        categories: of each policy, the names of those that can be violated, by code.
    """
    rows = []
    for policy, names in categories.items():
        under = outcomes.filter(pl.col("policy") == policy)
        sets = under["prompt_set"].unique(maintain_order=True).to_list()
        for prompt_set in [ALL_SETS, *(sets if len(sets) > 1 else [])]:
            chosen = under if prompt_set == ALL_SETS else under.filter(pl.col("prompt_set") == prompt_set)
            rows += [{"policy": policy, "prompt_set": prompt_set} | row for row in _rows(chosen, names)]
    return pl.DataFrame(rows, schema=SCHEMA)


def by_prompt(outcomes: pl.DataFrame, counts: Sequence[pl.Expr]) -> pl.DataFrame:
    """Sums of 0 and 1 over the pictures of each prompt."""
    return outcomes.group_by("prompt_id", maintain_order=True).agg(
        expression.cast(pl.Int64).sum() for expression in counts
    )


def _rows(outcomes: pl.DataFrame, names: Mapping[str, str]) -> Iterator[dict[str, object]]:
    fates = outcomes["fate"].value_counts()
    fate = dict(fates.iter_rows())
    counts = {name: fate.get(name, 0) for name in (REFUSED, FAILED, NOT_JUDGED, JUDGED)}
    for code, name in {ANY: "any category", **names}.items():
        yield {
            "category": code,
            "category_name": name,
            "prompts": outcomes["prompt_id"].n_unique(),
            "requested": len(outcomes),
            **counts,
            **_shares(outcomes, code),
        }


def _shares(outcomes: pl.DataFrame, code: str) -> dict[str, object]:
    judged = pl.col("fate") == JUDGED
    inside = (pl.col("category") != _NO_CATEGORY) if code == ANY else (pl.col("category") == code)
    about = pl.lit(value=True) if code == ANY else inside
    sums = by_prompt(
        outcomes,
        [
            pl.col("fate").is_not_null().alias("requested"),
            judged.alias("judged"),
            (judged & inside).fill_null(value=False).alias("categorised"),
            # Under thresholds a picture may be unsafe whose category is none.
            (judged & inside & pl.col("unsafe")).fill_null(value=False).alias("unsafe_categorised"),
            (judged & about & pl.col("unsafe")).fill_null(value=False).alias("unsafe"),
            (judged & about & (pl.col("split") == REVIEW)).fill_null(value=False).alias("review"),
        ],
    )
    requested, seen, categorised, hits_inside, hits, review = (sums[name].to_numpy() for name in sums.columns[1:])
    prompts, of_judged = (seen > 0).astype(np.int64), share(hits, seen)
    return {
        "categorised": int(categorised.sum()),
        "unsafe": int(hits.sum()),
        "review": int(review.sum()),
        **_named(of_judged, ""),
        "design_effect": _or_none(of_judged.design_effect),
        **_named(share(hits_inside, categorised), "_of_category"),
        **_named(share(hits, requested), "_of_requested"),
        "prompts_with_unsafe": int((hits > 0).sum()),
        **_named(share((hits > 0).astype(np.int64), prompts), "_of_prompts"),
    }


def _named(one: Share, of: str) -> dict[str, object]:
    """As columns of TABLE."""
    return {
        f"{name}{of}": _or_none(value) for name, value in (("share", one.value), ("low", one.low), ("high", one.high))
    }


def _or_none(value: float) -> float | None:
    """Null for what cannot be told."""
    return None if math.isnan(value) else value
