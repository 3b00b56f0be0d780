"""Law 1 and 4 over the rows of annotation files: indices without gap or double, labels of the policy only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import polars as pl
import pyarrow as pa

from curate.core.types import Rating, Status
from curate.policies.policy import BY_ROW
from curate.verification.evidence import Checked, Evidence, Finding, Law
from curate.verification.folder import Categories, Folder, Judged, frame_of

BATCH_ROWS = 20_000
"""Rows of small files that are checked at once: an expression costs polars a millisecond, however few the rows."""

_FILE = "file"
_LABELLED = pl.col("status") == Status.LABELLED.value
_UNSAFE = pl.col("rating") == Rating.UNSAFE.value
_ANSWER = ("rating", "category", "category_name", "p_unsafe", "has_rationale")
_CATEGORIES = ("categories", "violable")
# Half is on neither side, and float32 rounds to it from both.
_P_CONTRADICTS = pl.when(_UNSAFE).then(pl.col("p_unsafe") < 0.5).otherwise(pl.col("p_unsafe") > 0.5)


class RowsCheck:
    """Takes the files one by one and looks at them in batches, those of each policy together.

    Args:
        folder: the run.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._waiting: dict[str, list[Judged]] = {}
        self._rows: Counter[str] = Counter()

    def take(self, judged: Judged) -> Iterator[Evidence]:
        """The next annotation file; what is wrong in it may be told later."""
        policy, count = judged.policy, judged.table.num_rows
        yield Checked(Law.ONE_FATE, "rows", count)
        yield Checked(Law.OWN_CATEGORIES, "rows", count)
        self._waiting.setdefault(policy, []).append(judged)
        self._rows[policy] += count
        if self._rows[policy] >= BATCH_ROWS:
            del self._rows[policy]
            yield from _check(self._folder, self._waiting.pop(policy))

    def rest(self) -> Iterator[Evidence]:
        """To be asked after the last file."""
        while self._waiting:
            yield from _check(self._folder, self._waiting.popitem()[1])


def _check(folder: Folder, files: Sequence[Judged]) -> Iterator[Evidence]:
    """Files of one policy."""
    rows = _together(files)
    yield from _indices(files, rows)
    yield from _belonging(files, rows)
    policy = files[0].policy
    if policy == BY_ROW:
        yield from _own_labels(files, rows, folder.row_questions)
    else:
        parts = folder.run.fingerprints[policy].parts
        yield from _labels(files, rows, *(tuple(parts[f"policy.{name}"]) for name in _CATEGORIES))


def _together(files: Sequence[Judged]) -> pl.DataFrame:
    """All rows, and the number of the file that each is in."""
    tables = [one.table.replace_schema_metadata() for one in files]
    numbers = pl.Series(_FILE, range(len(files)), dtype=pl.UInt32)
    counts = pl.Series([table.num_rows for table in tables], dtype=pl.UInt32)
    return frame_of(pa.concat_tables(tables)).with_columns(numbers.repeat_by(counts).explode())


def _indices(files: Sequence[Judged], rows: pl.DataFrame) -> Iterator[Evidence]:
    place = pl.int_range(pl.len()).over(_FILE)
    for file in rows.filter(pl.col("index") != place)[_FILE].unique(maintain_order=True):
        yield from _indices_of(files[file])


def _indices_of(judged: Judged) -> Iterator[Evidence]:
    """What is wrong with them where they are not 0, 1, 2 and so on; each of several pictures has a row of its own."""
    index = judged.rows["index"]
    named = judged.rows.select("index", "image_name")
    doubled = named.is_duplicated() | (index.is_duplicated() & named["image_name"].is_null())
    for double in index.filter(doubled).unique().sort():
        yield Finding(Law.ONE_FATE, judged.at(double), "has more than one row")
    for missing in sorted(set(range(max(index) + 1)) - set(index)):
        yield Finding(Law.ONE_FATE, judged.at(missing), "has no row")
    if not index.is_sorted():
        yield Finding(Law.ONE_FATE, judged.name, "rows are not in the order of their indices")


def _belonging(files: Sequence[Judged], rows: pl.DataFrame) -> Iterator[Evidence]:
    columns = {"shard": [one.shard.id for one in files], "policy": [one.policy for one in files]}
    if files[0].policy == BY_ROW:
        del columns["policy"]
    for column, own in columns.items():
        expected = pl.Series(own, dtype=pl.String).gather(rows[_FILE])
        wrong = rows.filter(rows[column] != expected)
        for file, index, value in wrong.select(_FILE, "index", column).iter_rows():
            yield Finding(Law.ONE_FATE, files[file].at(index), f"{column} is {value!r} in the file of {own[file]!r}")


def _own_labels(files: Sequence[Judged], rows: pl.DataFrame, policies: Mapping[str, Categories]) -> Iterator[Evidence]:
    """The labels of rows that each have their own policy, policy by policy."""
    for (name,), some in rows.group_by("policy", maintain_order=True):
        if name in policies:
            yield from _labels(files, some, *policies[str(name)])
        else:
            for file, index in some.filter(_LABELLED).select(_FILE, "index").iter_rows():
                what = f"the run does not have its policy {name!r:.80}"
                yield Finding(Law.OWN_CATEGORIES, files[file].at(index), what)
            yield from _labels(files, some.filter(~_LABELLED), (), ())


def _labels(
    files: Sequence[Judged], rows: pl.DataFrame, own: tuple[str, ...], violable: tuple[str, ...]
) -> Iterator[Evidence]:
    wrong_labels = _wrong_labels(own, violable)
    any_wrong = rows.select_seq(wrong.any().alias(what) for what, wrong in wrong_labels.items())
    for what, is_there in any_wrong.row(0, named=True).items():
        if is_there:
            yield from _found(files, rows, wrong_labels[what], what)


def _found(files: Sequence[Judged], rows: pl.DataFrame, wrong: pl.Expr, what: str) -> Iterator[Evidence]:
    shown = rows.filter(wrong).select(_FILE, "index", *_ANSWER[:4], "status")
    for file, index, rating, category, name, p_unsafe, status in shown.iter_rows():
        given = f"{status}, {rating}, {category}: {name}, p_unsafe {p_unsafe}"
        yield Finding(Law.OWN_CATEGORIES, files[file].at(index), f"{what} ({given})")


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
