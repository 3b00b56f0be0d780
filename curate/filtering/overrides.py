"""Verdicts of people, which stand above the safeguard's: `filter.overrides`.

An override is of a picture, by the SHA-256 of its bytes, under a policy: so it holds in every run that meets the
picture again. The rules see its rating in place of the model's, and a p_unsafe beyond every threshold; what rows show
stays what was judged. What was not judged stays failed. Where two say different things of one picture, Unsafe stands.

A rule set keeps its overrides: they are copied to overrides/DIGEST.parquet in the run's folder, and the settings that
are recorded with the splits name that, so that `verify` decides again by what decided.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from curate.core.errors import InputError
from curate.core.types import Rating, Status
from curate.filtering.table_files import to_parquet
from curate.settings.filter import FilterSettings
from curate.storage.factory import is_url, open_store
from curate.storage.store import Store

FOLDER = "overrides"
VERDICT = "verdict_of_a_person"
OVERRIDE = "override"
_UNDER_ANY = "override_under_any_policy"
_KEPT = "kept:"
REVIEWS = "reviews"
"""Folder of a run with what people said of it; `curate.review` fills it."""

SCHEMA = pl.Schema(
    {
        "sha256": pl.String(),
        "policy": pl.String(),
        "rating": pl.String(),
        "category": pl.String(),
        "reviewer": pl.String(),
        "time": pl.String(),
        "reason": pl.String(),
        "review": pl.String(),
    }
)
"""Columns of a file of overrides. A null policy means any; `review` is the task it was said in."""

_READERS = {".parquet": pl.read_parquet, ".csv": lambda data: pl.read_csv(data, infer_schema=False)}


def keep_overrides(store: Store, settings: FilterSettings) -> FilterSettings:
    """`settings` with the overrides that they name copied into the run; what is kept already stays as it is.

    Raises:
        InputError: there are none at a place, or one says something else than Safe or Unsafe.
    """
    if not settings.overrides:
        return settings
    table = merged([_read(store, place) for place in settings.overrides])
    digest = hashlib.sha256(table.write_csv().encode()).hexdigest()[:16]
    store.create(f"{FOLDER}/{digest}.parquet", to_parquet(table))
    return settings.model_copy(update={"overrides": (f"{_KEPT}{digest}",)})


def kept_overrides(store: Store, settings: FilterSettings) -> pl.DataFrame | None:
    """The overrides of a rule set, from where `keep_overrides` has put them; None where it has none."""
    if not settings.overrides:
        return None
    return merged([_read(store, place) for place in settings.overrides])


def check_overrides(settings: FilterSettings) -> None:
    """Read what `settings` name, so that nothing ends on a typing error.

    Raises:
        InputError: see `keep_overrides`.
    """
    for place in settings.overrides:
        if not place.startswith(_KEPT):
            _read_place(place)


def with_overrides(rows: pl.LazyFrame, overrides: pl.DataFrame) -> pl.LazyFrame:
    """`rows` with the column `OVERRIDE`: what stands of each row's picture under its policy, a struct of all columns of
    `SCHEMA` but those it was found by; null where nothing does. In order.
    """
    said = overrides.select("sha256", "policy", pl.struct(pl.exclude("sha256", "policy")).alias(OVERRIDE)).lazy()
    under_one = said.filter(pl.col("policy").is_not_null())
    under_any = said.filter(pl.col("policy").is_null()).select("sha256", pl.col(OVERRIDE).alias(_UNDER_ANY))
    joined = rows.join(under_one, on=["sha256", "policy"], how="left", maintain_order="left")
    joined = joined.join(under_any, on="sha256", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce(OVERRIDE, _UNDER_ANY)).drop(_UNDER_ANY)


def with_verdicts(rows: pl.LazyFrame, overrides: pl.DataFrame) -> pl.LazyFrame:
    """`rows` with the column `VERDICT`: what people say of each row's picture under its policy, or null; in order."""
    rating = pl.col(OVERRIDE).struct.field("rating").alias(VERDICT)
    return with_overrides(rows, overrides).with_columns(rating).drop(OVERRIDE)


def overruled(p_unsafe: pl.Expr) -> dict[str, pl.Expr]:
    """What the rules see where there is a verdict; `p_unsafe` is what they see elsewhere."""
    said = pl.col(VERDICT)
    certain = pl.when(said == Rating.UNSAFE.value).then(math.inf).otherwise(-math.inf).cast(pl.Float32)
    return {
        "rating": pl.coalesce(said, "rating"),
        "p_unsafe": pl.when(said.is_null()).then(p_unsafe).otherwise(certain),
        "category_scores": pl.when(said.is_null()).then("category_scores"),
    }


def reason_with_verdict() -> pl.Expr:
    """The column `reason`, which names the person before the rule."""
    applies = pl.col(VERDICT).is_not_null() & (pl.col("status") == Status.LABELLED.value)
    return (
        pl.when(applies).then(pl.format("a person said {}: {}", VERDICT, "reason")).otherwise("reason").alias("reason")
    )


def merged(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One override for each picture and policy, sorted; Unsafe stands above Safe."""
    together = pl.concat(tables).sort("sha256", "policy", pl.col("rating") != Rating.UNSAFE.value, "time", "review")
    return together.unique(["sha256", "policy"], keep="first", maintain_order=True)


def _read(store: Store, place: str) -> pl.DataFrame:
    if place.startswith(_KEPT):
        return pl.read_parquet(store.read(f"{FOLDER}/{place.removeprefix(_KEPT)}.parquet"))
    return _read_place(place)


def _read_place(place: str) -> pl.DataFrame:
    if is_url(place) or Path(place).is_dir():
        return _of_run(place)
    path = Path(place)
    reader = _READERS.get(path.suffix)
    if reader is None or not path.is_file():
        raise InputError(f"filter.overrides: {place} is no run's folder and no .parquet or .csv file of overrides")
    try:
        return _checked(reader(path.read_bytes()), place)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"filter.overrides: {place} cannot be read: {str(error).splitlines()[0]}") from error


def _of_run(place: str) -> pl.DataFrame:
    """All that was reviewed in a run."""
    store = open_store(place)
    names = [f"{REVIEWS}/{name}/overrides.parquet" for name in store.folders(REVIEWS)]
    tables = [pl.read_parquet(store.read(name)) for name in names if store.exists(name)]
    if not tables:
        raise InputError(f"filter.overrides: nothing was reviewed in {place} yet; `review import` comes first")
    return _checked(merged(tables), place)


def _checked(table: pl.DataFrame, place: str) -> pl.DataFrame:
    missing = [name for name in ("sha256", "rating") if name not in table.columns]
    if missing:
        raise InputError(f"filter.overrides: {place} has no column {missing[0]!r}")
    wrong = table.filter(~pl.col("rating").is_in([r.value for r in Rating]) | pl.col("rating").is_null())
    if not wrong.is_empty():
        said = wrong["rating"][0]
        raise InputError(f"filter.overrides: {place}: {said!r} is no rating; write Safe or Unsafe")
    wanted = [
        pl.col(name).cast(kind) if name in table.columns else pl.lit(None, kind).alias(name)
        for name, kind in SCHEMA.items()
    ]
    return table.select(wanted)
