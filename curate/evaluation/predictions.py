"""Predictions: a run's folder, or a table with key, rating, category and perhaps p_unsafe and policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from curate.errors import InputError
from curate.evaluation import labels
from curate.evaluation.files import read_table, with_columns_of
from curate.ledger import annotation_name, committed
from curate.store import LocalStore
from curate.types import Status

ALIASES = {
    "key": ("key", "id", "__key__", "file_name"),
    "status": ("status",),
    "rating": ("rating", "assessment", "decision"),
    "category": ("category", "image-category", "image_category"),
    "p_unsafe": ("p_unsafe",),
    "policy": ("policy",),
}
"""Column names by ours."""

SCHEMA = {
    "key": pl.String,
    "policy": pl.String,
    "rating": pl.String,
    "category": pl.String,
    "p_unsafe": pl.Float64,
    "invalid": pl.String,
}
"""`invalid` says why a row is no label: its status, "unrecognised_rating", or null for a label."""


def read_predictions(path: Path, policy: str | None = None) -> pl.DataFrame:
    """The predictions in `path`, columns of `SCHEMA`; rows without a label have null rating, category, p_unsafe.

    Args:
        path: a run's folder (committed shards count, nothing else), or a Parquet, CSV, JSON or JSON lines file.
        policy: keep the rows of this policy alone.

    Raises:
        InputError: it does not exist or does not parse, holds no such policy, or a p_unsafe is no probability.
    """
    if not path.exists():
        raise InputError(f"{path}: no such predictions; give a run's folder or a table")
    raw = _read_run(path) if path.is_dir() else read_table(path, ALIASES, ("key", "rating"))
    rows = _normalised(raw, path)
    if policy is None:
        return rows
    chosen = rows.filter(pl.col("policy") == policy)
    if chosen.is_empty():
        raise InputError(f"{path}: holds no policy '{policy}'; it has {_some(rows['policy'])}")
    return chosen


def _read_run(folder: Path) -> pl.DataFrame:
    """Rows of every committed shard of every policy."""
    store = LocalStore(folder)
    finished = [
        annotation_name(policy.name, shard)
        for policy in sorted((folder / "commits").glob("*/"))
        for shard in sorted(committed(store, policy.name))
    ]
    if not finished:
        raise InputError(f"{folder}: no finished shard (commits/<policy>/*.json); is this a run's output.dir?")
    return pl.concat([read_table(Path(store.uri(name)), ALIASES, tuple(ALIASES)) for name in finished], how="vertical")


def _normalised(raw: pl.DataFrame, path: Path) -> pl.DataFrame:
    text = [pl.col(name).cast(pl.String) for name in raw.columns if name != "p_unsafe"]
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
    _check_probabilities(rows, path)
    return rows.with_columns(
        pl.when(pl.col("invalid").is_null()).then(pl.col(name)).alias(name)
        for name in ("rating", "category", "p_unsafe")
    )


def _check_probabilities(rows: pl.DataFrame, path: Path) -> None:
    wrong = rows.filter(pl.col("p_unsafe").is_nan() | ~pl.col("p_unsafe").is_between(0, 1))
    if not wrong.is_empty():
        key, value = wrong["key"][0], wrong["p_unsafe"][0]
        raise InputError(f"{path}: p_unsafe of key '{key}' is {value}; it must lie between 0 and 1, or be empty")


def _some(names: pl.Series) -> str:
    return ", ".join(names.drop_nulls().unique().sort().head(5)) or "none"


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """A short name for each of `paths`: its stem, with parent folders in front as far as needed to tell them apart."""
    parts = [(*path.resolve().parts[1:-1], path.stem if path.is_file() else path.name) for path in paths]
    for length in range(1, max(len(p) for p in parts) + 1):
        names = ["/".join(p[-length:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise InputError("predictions: the same file is given twice; name each file once")
