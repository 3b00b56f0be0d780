"""Law 1 and 4 over the rows of one annotation file: indices without gap or double, labels of the policy only."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from curate.fingerprint import Fingerprint
from curate.types import Rating, Status
from curate.verification.evidence import Checked, Evidence, Finding, Law
from curate.verification.folder import Folder, Judged

_LABELLED = pl.col("status") == Status.LABELLED.value
_UNSAFE = pl.col("rating") == Rating.UNSAFE.value
_ANSWER = ("rating", "category", "category_name", "p_unsafe", "has_rationale")
# Half is on neither side, and float32 rounds to it from both.
_P_CONTRADICTS = pl.when(_UNSAFE).then(pl.col("p_unsafe") < 0.5).otherwise(pl.col("p_unsafe") > 0.5)


def check_rows(folder: Folder, judged: Judged) -> Iterator[Evidence]:
    """One annotation file."""
    yield Checked(Law.ONE_FATE, "rows", judged.rows.height)
    yield Checked(Law.OWN_CATEGORIES, "rows", judged.rows.height)
    yield from _indices(judged)
    yield from _belonging(judged)
    yield from _labels(judged, folder.run.fingerprints[judged.policy])


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
    for column, expected in (("shard", judged.shard.id), ("policy", judged.policy)):
        for index, value in judged.rows.filter(pl.col(column) != expected).select("index", column).iter_rows():
            yield Finding(Law.ONE_FATE, judged.at(index), f"{column} is {value!r} in the file of {expected!r}")


def _labels(judged: Judged, fingerprint: Fingerprint) -> Iterator[Evidence]:
    rows = judged.rows
    for wrong, what in _wrong_labels(fingerprint):
        shown = rows.filter(wrong.fill_null(value=False)).select("index", *_ANSWER[:4], "status")
        for index, *answer in shown.iter_rows():
            rating, category, name, p_unsafe, status = answer
            given = f"{status}, {rating}, {category}: {name}, p_unsafe {p_unsafe}"
            yield Finding(Law.OWN_CATEGORIES, judged.at(index), f"{what} ({given})")


def _wrong_labels(fingerprint: Fingerprint) -> list[tuple[pl.Expr, str]]:
    """Conditions that no row may meet. Categories come from what was asked, which the fingerprint keeps."""
    own = fingerprint.parts["policy.categories"]
    violable = fingerprint.parts["policy.violable"]
    named = pl.format("{}: {}", "category", "category_name").fill_null("")
    is_own = named.is_in(own)
    answered = pl.any_horizontal(pl.col(name).is_not_null() for name in _ANSWER[:4]) | pl.col("has_rationale")
    rated = pl.col("rating").is_in([r.value for r in Rating]).fill_null(value=False)
    return [
        (~pl.col("status").is_in([s.value for s in Status]), "a status that does not exist"),
        (~_LABELLED & answered, "a failure that has a label"),
        (_LABELLED & ~rated, "labelled without a rating"),
        (_LABELLED & ~is_own, "a category that the policy does not have"),
        (_LABELLED & is_own & _UNSAFE & ~named.is_in(violable), "unsafe under a category that cannot be violated"),
        (_LABELLED & ~pl.col("p_unsafe").is_between(0, 1), "p_unsafe is no probability"),
        (_LABELLED & rated & pl.col("p_unsafe").is_between(0, 1) & _P_CONTRADICTS, "p_unsafe contradicts the rating"),
    ]
