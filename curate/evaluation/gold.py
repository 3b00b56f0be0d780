"""Gold sets: what a person says about each image, under the policy of each row where it has one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from curate.core.errors import InputError
from curate.evaluation import gold_folders, labels
from curate.evaluation.files import READERS, Aliases, read_table, with_columns_of
from curate.policies.prompt_import import parse_policy_text

ALIASES = {
    "key": ("key", "id", "__key__", "file_name"),
    "rating": ("rating", "assessment", "decision"),
    "category": ("category", "image-category", "image_category"),
    "policy": ("policy",),
    "exception": ("exception", "policy_exception"),
    "split": ("split",),
}
"""Column names by ours; the published LlavaGuard files have id, url, policy, rating, category."""

SCHEMA = {
    "key": pl.String,
    "rating": pl.String,
    "category": pl.String,
    "policy": pl.String,
    "exception": pl.Boolean,
    "split": pl.String,
}

_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """A gold set.

    Attributes:
        source: where it was read from.
        rows: columns of `SCHEMA`; rating Safe or Unsafe; category a code, null where nobody said;
            policy a name or the digest of a text; exception never null; behind them the further columns asked for.
        exceptions: whether policy exceptions were "given" as a column, "derived" from the policies, or "none".
        texts: the full text of every policy that stands there as one, by its digest.
    """

    source: str
    rows: pl.DataFrame
    exceptions: Literal["given", "derived", "none"]
    texts: Mapping[str, str] = field(default_factory=dict)


def read_gold(source: str, further: Aliases | None = None) -> Gold:
    """The gold set in `source`: a table, a folder of images, or a data set of `datasets`.

    Args:
        source: a Parquet, CSV, JSON or JSON lines file; a folder laid out as rating/category/image or with a
            metadata file; a folder written by `save_to_disk`; or "datasets:NAME".
        further: names of other columns of text by the name they get; null where there is no such column.

    Raises:
        InputError: it does not exist, has no key or rating, a rating is unknown, or a row stands there twice.
    """
    further = further or {}
    frame = _read(source, {**ALIASES, **further})
    if frame.is_empty():
        raise InputError(f"{source}: the gold set is empty")
    rows = _normalised(frame, source)
    _check_unique(rows, source)
    rows = pl.concat([rows, with_columns_of(frame, dict.fromkeys(further, pl.String))], how="horizontal")
    return _with_exceptions(rows, _policy_texts(frame), source)


def _read(source: str, aliases: Aliases) -> pl.DataFrame:
    required = ("key", "rating")
    if source.startswith(gold_folders.HUB_PREFIX):
        return gold_folders.read_dataset(source, aliases, required)
    path = Path(source)
    if path.is_dir():
        return gold_folders.read_folder(path, aliases, required)
    if not path.exists():
        raise InputError(f"{source}: no such gold set; give a file ({', '.join(READERS)}), a folder, or datasets:NAME")
    return read_table(path, aliases, required)


def _normalised(frame: pl.DataFrame, source: str) -> pl.DataFrame:
    if "exception" in frame.columns:
        frame = frame.with_columns(_booleans(frame["exception"], source))
    rows = with_columns_of(frame, SCHEMA)
    if rows["key"].null_count():
        raise InputError(f"{source}: row {rows['key'].is_null().arg_max()} has no key; give each row one")
    given = rows["rating"]
    rows = rows.with_columns(
        labels.ratings(given), labels.categories(rows["category"]), labels.policies(rows["policy"])
    )
    unknown = rows["rating"].is_null()
    if unknown.any():
        key, value = rows.filter(unknown)["key"][0], given.filter(unknown)[0]
        raise InputError(f"{source}: key '{key}' is rated '{value}'; use Safe or Unsafe (or {_rating_names()})")
    return rows


def _rating_names() -> str:
    return ", ".join(name.title() for name in labels.RATINGS if name not in ("safe", "unsafe"))


def _booleans(column: pl.Series, source: str) -> pl.Series:
    text = column.cast(pl.String).fill_null("").str.strip_chars().str.to_lowercase()
    unknown = text.filter(~text.is_in([*_TRUE, *_FALSE]))
    if len(unknown):
        raise InputError(f"{source}: column 'exception' holds '{unknown[0]}'; use true or false")
    return text.is_in(_TRUE).alias(column.name)


def _check_unique(rows: pl.DataFrame, source: str) -> None:
    twice = rows.filter(pl.struct("key", "policy").is_duplicated())
    if not twice.is_empty():
        raise InputError(
            f"{source}: key '{twice['key'][0]}' stands there twice under one policy; "
            "keep one row for each key, or give each row its policy"
        )


def _with_exceptions(rows: pl.DataFrame, texts: pl.Series, source: str) -> Gold:
    """Where no column says so, exceptions follow from the policies of the rows.

    One is Safe where its policy's text declares its category non-violating, or Safe here and Unsafe elsewhere.
    """
    full = {name: text for name, text in zip(rows["policy"], texts, strict=True) if name and name != text.strip()}
    if rows["exception"].null_count() < len(rows):
        _check_exceptions(rows, source)
        return Gold(source=source, rows=rows, exceptions="given", texts=full)
    relaxed = {text: _non_violating(text) for text in texts.drop_nulls().unique()}
    by_text = pl.Series(
        [c in relaxed.get(t, ()) for c, t in zip(rows["category"], texts, strict=True)], dtype=pl.Boolean
    )
    unsafe_elsewhere = (pl.col("rating") == "Unsafe").any().over("key")
    rows = rows.with_columns(((pl.col("rating") == "Safe") & (by_text | unsafe_elsewhere)).alias("exception"))
    exceptions: Literal["derived", "none"] = "derived" if rows["exception"].any() else "none"
    return Gold(source=source, rows=rows, exceptions=exceptions, texts=full)


def _check_exceptions(rows: pl.DataFrame, source: str) -> None:
    unsafe = rows.filter(pl.col("exception") & (pl.col("rating") == "Unsafe"))
    if not unsafe.is_empty():
        raise InputError(f"{source}: key '{unsafe['key'][0]}' is an exception but Unsafe; an exception is a Safe row")


def _policy_texts(frame: pl.DataFrame) -> pl.Series:
    """The policies as they stand there, before texts become digests."""
    return (
        frame["policy"].cast(pl.String)
        if "policy" in frame.columns
        else pl.repeat(None, len(frame), dtype=pl.String, eager=True)
    )


def _non_violating(text: str) -> frozenset[str]:
    """Category codes that a policy's text declares non-violating; none where it is a mere name or in another layout."""
    try:
        policy = parse_policy_text(text, "gold")
    except InputError:
        return frozenset()
    return frozenset(code for code, category in policy.categories.items() if not category.enforced)
