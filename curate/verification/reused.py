"""Law 1 and 4 over rows that took another's label: it is there, of the same picture, and says the same."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
from polars.exceptions import PolarsError

from curate.core.errors import InputError
from curate.core.types import Status
from curate.runs.commits import read_commit
from curate.runs.compaction.reading import AnnotationFiles
from curate.storage.factory import open_store
from curate.verification.evidence import Checked, Evidence, Finding, Law, Note
from curate.verification.folder import Judged

_SAME = ["sha256", "rating", "category", "category_name", "p_unsafe"]
_LABEL = ["rating", "category", "category_name"]
_TOLERANCE = 0.02
"""Between two judgements of one picture: where two workers met at a shard, a label may come from the other's."""

_ORIGIN = r"^(?:(?<run>.*)#)?(?<from>[^/#]+)/(?<at>[0-9]+)$"


def check_reused(judged: Judged) -> Iterator[Evidence]:
    """One annotation file."""
    if judged.table["reused_from"].null_count == judged.table.num_rows:
        return
    rows = judged.rows.filter(pl.col("reused_from").is_not_null())
    yield Checked(Law.OWN_CATEGORIES, "labels taken from others", rows.height)
    rows = rows.with_columns(pl.col("reused_from").str.extract_groups(_ORIGIN).alias("origin")).unnest("origin")
    rows = rows.with_columns(pl.col("at").cast(pl.Int64, strict=False))
    for index, given in rows.filter(pl.col("at").is_null()).select("index", "reused_from").iter_rows():
        yield Finding(Law.ONE_FATE, judged.at(index), f"reused_from is {given!r}, which is no row")
    named = rows.filter(pl.col("at").is_not_null())
    for (run, shard), some in named.group_by("run", "from", maintain_order=True):
        yield from _held_against(judged, some, run, shard)


def _held_against(judged: Judged, rows: pl.DataFrame, run: str | None, shard: str) -> Iterator[Evidence]:
    if run is not None:
        origins = _earlier(run, judged.policy, shard)
        if origins is None:
            yield Note("labels from an earlier run that is not there any more", f"{judged.name}: {run}")
            return
        yield from _differences(judged, rows, origins)
    elif shard == judged.shard.id:
        yield from _differences(judged, rows, judged.rows.filter(~_from_here(shard)))
    else:
        yield Finding(Law.ONE_FATE, judged.name, f"takes labels from shard {shard!r}, which is not its own")


def _from_here(shard: str) -> pl.Expr:
    return pl.col("reused_from").fill_null("").str.starts_with(f"{shard}/")


def _differences(judged: Judged, rows: pl.DataFrame, origins: pl.DataFrame) -> Iterator[Evidence]:
    labels = origins.filter(pl.col("status") == Status.LABELLED.value).select(pl.col("index").alias("at"), *_SAME)
    labels = labels.unique(["at", "sha256"], keep="first", maintain_order=True).with_columns(
        is_there=pl.lit(value=True)
    )
    both = rows.join(labels, on=["at", "sha256"], how="left", suffix="_there")
    same = pl.col("is_there").fill_null(value=False)
    p_unsafe, there = pl.col("p_unsafe"), pl.col("p_unsafe_there")
    near = ((p_unsafe - there).abs() <= _TOLERANCE).fill_null(pl.col("rating") == pl.col("rating_there"))
    # One judgement has one label; a second of the same picture may name another category.
    label = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_there")) for name in _LABEL)
    wrong = both.filter(~(same & near & ((p_unsafe != there) | label)).fill_null(value=False))
    for index, given in wrong.select("index", "reused_from").iter_rows():
        yield Finding(Law.OWN_CATEGORIES, judged.at(index), f"{given} is no row of this picture with this label")


def _earlier(run: str, policy: str, shard: str) -> pl.DataFrame | None:
    """The rows of an earlier run's shard; None where they cannot be read."""
    try:
        store = open_store(run)
        with AnnotationFiles(store).local(read_commit(store, policy, shard)) as path:
            return pl.read_parquet(path, columns=["index", "status", *_SAME], glob=False)
    except (OSError, PolarsError, InputError):
        return None
