"""Law 1 and 4 over the rows of one annotation file: indices without gap or double, labels of the policy only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

import polars as pl

from curate.policy import BY_ROW
from curate.types import Rating, Status
from curate.verification.evidence import Checked, Evidence, Finding, Law
from curate.verification.folder import Categories, Folder, Judged

_LABELLED = pl.col("status") == Status.LABELLED.value
_UNSAFE = pl.col("rating") == Rating.UNSAFE.value
_ANSWER = ("rating", "category", "category_name", "p_unsafe", "has_rationale")
_CATEGORIES = ("categories", "violable")
# Half is on neither side, and float32 rounds to it from both.
_P_CONTRADICTS = pl.when(_UNSAFE).then(pl.col("p_unsafe") < 0.5).otherwise(pl.col("p_unsafe") > 0.5)


def check_rows(folder: Folder, judged: Judged) -> Iterator[Evidence]:
    """One annotation file."""
    yield Checked(Law.ONE_FATE, "rows", judged.rows.height)
    yield Checked(Law.OWN_CATEGORIES, "rows", judged.rows.height)
    yield from _indices(judged)
    yield from _belonging(judged)
    if judged.policy == BY_ROW:
        yield from _own_labels(judged, folder.row_questions)
    else:
        parts = folder.run.fingerprints[judged.policy].parts
        yield from _labels(judged, judged.rows, *(tuple(parts[f"policy.{name}"]) for name in _CATEGORIES))


def _indices(judged: Judged) -> Iterator[Evidence]:
    index = judged.rows["index"]
    if index.equals(pl.int_range(index.len(), dtype=pl.Int64, eager=True).alias("index")):
        return
    for double in index.filter(index.is_duplicated()).unique().sort():
        yield Finding(Law.ONE_FATE, judged.at(double), "has more than one row")
    for missing in sorted(set(range(max(index) + 1)) - set(index)):
        yield Finding(Law.ONE_FATE, judged.at(missing), "has no row")
    if not index.is_sorted():
        yield Finding(Law.ONE_FATE, judged.name, "rows are not in the order of their indices")


def _belonging(judged: Judged) -> Iterator[Evidence]:
    columns = {"shard": judged.shard.id} | ({} if judged.policy == BY_ROW else {"policy": judged.policy})
    for column, expected in columns.items():
        if (judged.rows[column] == expected).sum() == judged.rows.height:
            continue
        for index, value in judged.rows.filter(pl.col(column) != expected).select("index", column).iter_rows():
            yield Finding(Law.ONE_FATE, judged.at(index), f"{column} is {value!r} in the file of {expected!r}")


def _own_labels(judged: Judged, policies: Mapping[str, Categories]) -> Iterator[Evidence]:
    """The labels of rows that each have their own policy, policy by policy."""
    for (name,), rows in judged.rows.group_by("policy", maintain_order=True):
        if name in policies:
            yield from _labels(judged, rows, *policies[str(name)])
        else:
            for index in rows.filter(_LABELLED)["index"]:
                yield Finding(Law.OWN_CATEGORIES, judged.at(index), f"the run does not have its policy {name!r:.80}")
            yield from _labels(judged, rows.filter(~_LABELLED), (), ())


def _labels(judged: Judged, rows: pl.DataFrame, own: tuple[str, ...], violable: tuple[str, ...]) -> Iterator[Evidence]:
    wrong_labels = _wrong_labels(own, violable)
    any_wrong = rows.select_seq(wrong.any().alias(what) for what, wrong in wrong_labels.items())
    for what, is_there in any_wrong.row(0, named=True).items():
        if is_there:
            yield from _found(judged, rows, wrong_labels[what], what)


def _found(judged: Judged, rows: pl.DataFrame, wrong: pl.Expr, what: str) -> Iterator[Evidence]:
    shown = rows.filter(wrong).select("index", *_ANSWER[:4], "status")
    for index, rating, category, name, p_unsafe, status in shown.iter_rows():
        given = f"{status}, {rating}, {category}: {name}, p_unsafe {p_unsafe}"
        yield Finding(Law.OWN_CATEGORIES, judged.at(index), f"{what} ({given})")


@lru_cache(128)
def _wrong_labels(own: tuple[str, ...], violable: tuple[str, ...]) -> Mapping[str, pl.Expr]:
    """Conditions that no row may meet, by what is wrong then.

    Args:
        own: every category that an answer could name, as the fingerprint keeps them.
        violable: those that an Unsafe answer could name.
    """
    named = pl.format("{}: {}", "category", "category_name").fill_null("")
    is_own = named.is_in(own)
    answered = pl.any_horizontal(pl.col(name).is_not_null() for name in _ANSWER[:4]) | pl.col("has_rationale")
    rated = pl.col("rating").is_in([r.value for r in Rating]).fill_null(value=False)
    likely = pl.col("p_unsafe").is_between(0, 1)
    wrong = {
        "a status that does not exist": ~pl.col("status").is_in([s.value for s in Status]),
        "a failure that has a label": ~_LABELLED & answered,
        "labelled without a rating": _LABELLED & ~rated,
        "a category that the policy does not have": _LABELLED & ~is_own,
        "unsafe under a category that cannot be violated": _LABELLED & is_own & _UNSAFE & ~named.is_in(violable),
        "p_unsafe is no probability": _LABELLED & ~likely,
        "p_unsafe contradicts the rating": _LABELLED & rated & likely & _P_CONTRADICTS,
    }
    return {what: condition.fill_null(value=False) for what, condition in wrong.items()}
