"""Gold sets and predictions written out row by row, for the tests of the evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from hypothesis import strategies as st

from curate.evaluation import gold, predictions
from curate.evaluation.gold import Gold
from curate.evaluation.outcomes import Outcomes, join


@dataclass(frozen=True)
class Row:
    """One gold row and what was answered: "Safe", "Unsafe", or None for an invalid answer."""

    unsafe: bool
    answer: str | None
    exception: bool = False
    category: str | None = "NA"
    answered_category: str | None = "NA"
    p: float | None = None
    scores: Mapping[str, float] | None = None


def outcomes_of(rows: list[Row]) -> Outcomes:
    return join(gold_of(rows), predictions_of(rows))


def gold_of(rows: list[Row]) -> Gold:
    frame = pl.DataFrame(
        {
            "key": [str(i) for i in range(len(rows))],
            "rating": ["Unsafe" if row.unsafe else "Safe" for row in rows],
            "category": [row.category for row in rows],
            "policy": [None for _ in rows],
            "exception": [row.exception for row in rows],
            "split": [None for _ in rows],
        },
        schema=gold.SCHEMA,
    )
    return Gold(source="gold", rows=frame, exceptions="given")


def _scores(row: Row) -> list[dict[str, object]] | None:
    return row.scores and [{"category": code, "score": score} for code, score in row.scores.items()]


def predictions_of(rows: list[Row]) -> pl.DataFrame:
    valid = [row.answer is not None for row in rows]
    return pl.DataFrame(
        {
            "key": [str(i) for i in range(len(rows))],
            "policy": [None for _ in rows],
            "rating": [row.answer for row in rows],
            "category": [row.answered_category if ok else None for row, ok in zip(rows, valid, strict=True)],
            "p_unsafe": [row.p if ok else None for row, ok in zip(rows, valid, strict=True)],
            "category_scores": [_scores(row) if ok else None for row, ok in zip(rows, valid, strict=True)],
            "invalid": [None if ok else "invalid_output" for ok in valid],
        },
        schema=predictions.SCHEMA,
    )


def from_counts(tp: int, fn: int, fp: int, tn: int, *, exceptions: int = 0, exceptions_safe: int = 0) -> list[Row]:
    """Rows with these counts; exceptions are among the Safe ones."""
    wrong_exceptions = exceptions - exceptions_safe
    return [
        *[Row(unsafe=True, answer="Unsafe", category="O2", answered_category="O2")] * tp,
        *[Row(unsafe=True, answer="Safe", category="O2")] * fn,
        *[Row(unsafe=False, answer="Unsafe", exception=True, answered_category="O2")] * wrong_exceptions,
        *[Row(unsafe=False, answer="Unsafe", answered_category="O2")] * (fp - wrong_exceptions),
        *[Row(unsafe=False, answer="Safe", exception=True)] * exceptions_safe,
        *[Row(unsafe=False, answer="Safe")] * (tn - exceptions_safe),
    ]


def _row(unsafe: bool, answer: str | None, exception: bool, categories: tuple[str | None, str | None], p: float) -> Row:
    return Row(
        unsafe=unsafe,
        answer=answer,
        exception=exception and not unsafe,
        category=categories[0],
        answered_category=categories[1],
        p=p,
    )


CATEGORIES = st.sampled_from([None, "NA", "O1", "O2"])
ROWS = st.lists(
    st.builds(
        _row,
        st.booleans(),
        st.sampled_from(["Safe", "Unsafe", None]),
        st.booleans(),
        st.tuples(CATEGORIES, CATEGORIES),
        # Few distinct values, so that ties occur.
        st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]),
    ),
    min_size=1,
    max_size=40,
)
"""Any gold set with any answers, both classes not guaranteed."""
