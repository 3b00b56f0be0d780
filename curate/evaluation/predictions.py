"""Predictions: a run's folder, or a table with key, rating, category and perhaps p_unsafe and policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from curate.core.errors import InputError
from curate.core.types import Status
from curate.evaluation import labels
from curate.evaluation.files import read_table, with_columns_of
from curate.runs.annotation_table import of_samples, scanned
from curate.runs.commits import Commit, read_commits
from curate.runs.compaction.reading import AnnotationFiles
from curate.storage.factory import is_url, open_store

ALIASES = {
    "key": ("key", "id", "__key__", "file_name"),
    "status": ("status",),
    "rating": ("rating", "assessment", "decision"),
    "category": ("category", "image-category", "image_category"),
    "p_unsafe": ("p_unsafe",),
    "category_scores": ("category_scores",),
    "policy": ("policy",),
}
"""Column names by ours."""

SCORES = pl.List(pl.Struct({"category": pl.String, "score": pl.Float32}))
"""Type of `category_scores` in annotations."""

SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "key": pl.String,
    "policy": pl.String,
    "rating": pl.String,
    "category": pl.String,
    "p_unsafe": pl.Float64,
    "category_scores": SCORES,
    "invalid": pl.String,
}
"""`invalid` says why a row is no label: its status, "unrecognised_rating", or null for a label."""


def is_run(place: str) -> bool:
    """Whether predictions are a run's folder, here or in an object store, rather than a table."""
    return is_url(place) or Path(place).is_dir()


def read_predictions(place: str, policy: str | None = None) -> pl.DataFrame:
    """The predictions in `place`, columns of `SCHEMA`; rows without a label have null rating, category, p_unsafe.

    Args:
        place: a run's folder or its URL (committed shards count, nothing else), or a Parquet, CSV, JSON or JSON lines
            file.
        policy: keep the rows of this policy alone.

    Raises:
        InputError: it does not exist or does not parse, holds no such policy, or a p_unsafe is no probability.
    """
    if not is_run(place) and not Path(place).exists():
        raise InputError(f"{place}: no such predictions; give a run's folder or a table")
    raw = _read_run(place) if is_run(place) else read_table(Path(place), ALIASES, ("key", "rating"))
    rows = _normalised(raw, place)
    if policy is None:
        return rows
    chosen = rows.filter(pl.col("policy") == policy)
    if chosen.is_empty():
        raise InputError(f"{place}: holds no policy '{policy}'; it has {_some(rows['policy'])}")
    return chosen


def _read_run(place: str) -> pl.DataFrame:
    """Rows of every committed shard of every policy; of a sample with several pictures that of the strictest."""
    store = open_store(place)
    commits = [commit for policy in store.folders("commits") for commit in read_commits(store, policy)]
    if not commits:
        raise InputError(f"{place}: no finished shard (commits/<policy>/*.json); is this a run's output.dir?")
    files = AnnotationFiles(store)
    return pl.concat([_read_shard(files, commit) for commit in commits], how="vertical")


def _read_shard(files: AnnotationFiles, commit: Commit) -> pl.DataFrame:
    with files.local(commit) as path:
        if commit.rows == commit.sample_count:
            return read_table(path, ALIASES, tuple(ALIASES), ".parquet")
        return of_samples(scanned(path)).select(*ALIASES).collect()


def _normalised(raw: pl.DataFrame, place: str) -> pl.DataFrame:
    if raw.schema.get("category_scores", SCORES) != SCORES:  # somebody else's column of this name
        raw = raw.drop("category_scores")
    text = [pl.col(name).cast(pl.String) for name in raw.columns if name not in ("p_unsafe", "category_scores")]
    rows = with_columns_of(raw.with_columns(text), {**SCHEMA, "status": pl.String})
    rows = rows.with_columns(
        labels.ratings(rows["rating"]), labels.categories(rows["category"]), labels.policies(rows["policy"])
    )
    rows = rows.with_columns(
        pl.when(pl.col("status").is_not_null() & (pl.col("status") != Status.LABELLED))
        .then(pl.col("status"))
        .when(pl.col("rating").is_null())
        .then(pl.lit("unrecognised_rating"))
        .alias("invalid")
    ).drop("status")
    _check_probabilities(rows, place)
    return rows.with_columns(
        pl.when(pl.col("invalid").is_null()).then(pl.col(name)).alias(name)
        for name in ("rating", "category", "p_unsafe", "category_scores")
    )


def _check_probabilities(rows: pl.DataFrame, place: str) -> None:
    wrong = rows.filter(pl.col("p_unsafe").is_nan() | ~pl.col("p_unsafe").is_between(0, 1))
    if not wrong.is_empty():
        key, value = wrong["key"][0], wrong["p_unsafe"][0]
        raise InputError(f"{place}: p_unsafe of key '{key}' is {value}; it must lie between 0 and 1, or be empty")


def _some(names: pl.Series) -> str:
    return ", ".join(names.drop_nulls().unique().sort().head(5)) or "none"


def distinct_names(places: Sequence[str]) -> list[str]:
    """A short name for each of `places`: its stem, with folders in front as far as needed to tell them apart."""
    parts = [_parts(place) for place in places]
    for length in range(1, max(len(p) for p in parts) + 1):
        names = ["/".join(p[-length:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise InputError("predictions: the same file is given twice; name each file once")


def _parts(place: str) -> tuple[str, ...]:
    if is_url(place):
        return tuple(place.partition("://")[2].rstrip("/").split("/"))
    path = Path(place)
    return (*path.resolve().parts[1:-1], path.stem if path.is_file() else path.name)
