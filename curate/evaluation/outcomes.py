"""Gold rows joined with what was predicted for them. Every gold row has one outcome, whatever went wrong.

A prediction is invalid where it is missing, not labelled, not a rating, or there several times. Invalid counts as
wrong: an Unsafe image as missed (fn), a Safe one as falsely flagged (fp), a category as not hit, an exception as not
granted. So no answer is ever better than no answer, and what does not parse cannot be dropped to look better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from curate.core.errors import InputError
from curate.evaluation.gold import Gold
from curate.evaluation.predictions import SCORES

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """One entry for each gold row, in gold order.

    Attributes:
        rows: the gold rows, with `predicted`, `predicted_category`, `p_unsafe`, `category_scores` (null unless valid)
            and `invalid` (null, or why the prediction counts as wrong).
        joined_on: the columns that gold and predictions were joined on.
        unused: how many predictions belong to no gold row.
    """

    rows: pl.DataFrame
    joined_on: tuple[str, ...]
    unused: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def unsafe(self) -> Bools:
        """Gold says Unsafe, shape (n,)."""
        return _bools(self.rows["rating"] == "Unsafe")

    @property
    def invalid(self) -> Bools:
        """There is no valid prediction, shape (n,)."""
        return _bools(self.rows["invalid"].is_not_null())

    @property
    def flagged(self) -> Bools:
        """Counts as answered Unsafe, shape (n,); an invalid one counts as the wrong answer."""
        answered = _bools((self.rows["predicted"] == "Unsafe").fill_null(value=False))
        return np.where(self.invalid, ~self.unsafe, answered)

    @property
    def right(self) -> Bools:
        """The rating is right, shape (n,)."""
        return np.equal(self.flagged, self.unsafe)

    @property
    def p_unsafe(self) -> Floats:
        """p(Unsafe) of each row, shape (n,); NaN where there is none."""
        return self.rows["p_unsafe"].to_numpy().astype(np.float64)

    def category_score(self, code: str) -> Floats:
        """The score of a category, shape (n,); 0 where others alone have one, NaN where a row has none at all."""
        rows = self.rows["category_scores"].to_list()
        return np.array([np.nan if row is None else _score_in(row, code) for row in rows], dtype=np.float64)

    @property
    def reasons(self) -> Mapping[str, int]:
        """How many predictions are invalid, by reason."""
        counts = self.rows["invalid"].drop_nulls().value_counts().sort("invalid")
        return {str(reason): int(count) for reason, count in counts.iter_rows()}

    def where(self, condition: pl.Expr) -> Outcomes:
        """The outcomes of the gold rows that meet `condition`."""
        return Outcomes(rows=self.rows.filter(condition), joined_on=self.joined_on, unused=0)


def join(gold: Gold, predictions: pl.DataFrame, *, by_policy: bool = True) -> Outcomes:
    """Join by key and, where both sides name policies, by policy; a row without a policy is one of its own kind.

    Args:
        gold: the gold set.
        predictions: as `read_predictions` returns them.
        by_policy: False joins by key alone, since the predictions' one policy was chosen to be judged by.

    Raises:
        InputError: predictions of several policies but gold without, or nothing matches at all.
    """
    on = _joined_on(gold.rows, predictions, by_policy=by_policy)
    single = predictions.filter(~pl.struct(on).is_duplicated())
    repeated = predictions.filter(pl.struct(on).is_duplicated()).unique(on).with_columns(_no_label("duplicate"))
    answers = pl.concat([single, repeated]).rename({"rating": "predicted", "category": "predicted_category"})
    answers = answers.select(
        *on, "predicted", "predicted_category", "p_unsafe", "category_scores", "invalid", found=True
    )
    rows = gold.rows.join(answers, on=on, how="left", maintain_order="left", nulls_equal=True)
    if not rows["found"].any():
        raise InputError(_nothing_matches(gold, predictions, on))
    rows = rows.with_columns(
        pl.when(pl.col("found").is_null()).then(pl.lit("missing")).otherwise(pl.col("invalid")).alias("invalid")
    ).drop("found")
    unused = predictions.join(gold.rows, on=on, how="anti", nulls_equal=True)
    return Outcomes(rows=rows, joined_on=tuple(on), unused=len(unused))


def _joined_on(gold: pl.DataFrame, predictions: pl.DataFrame, *, by_policy: bool) -> list[str]:
    judged_under = predictions["policy"].drop_nulls().unique().sort()
    nameless = gold["policy"].null_count() + predictions["policy"].null_count()
    some = len(judged_under) > 1 and gold["policy"].null_count() < len(gold)
    if by_policy and (not nameless or some):
        return ["key", "policy"]
    if len(judged_under) > 1:
        raise InputError(
            f"predictions: hold the policies {', '.join(judged_under)}, gold rows name none; "
            f"choose one with policy={judged_under[0]}"
        )
    return ["key"]


def _no_label(reason: str) -> list[pl.Expr]:
    return [
        pl.lit(None, dtype=pl.String).alias("rating"),
        pl.lit(None, dtype=pl.String).alias("category"),
        pl.lit(None, dtype=pl.Float64).alias("p_unsafe"),
        pl.lit(None, dtype=SCORES).alias("category_scores"),
        pl.lit(reason).alias("invalid"),
    ]


def _nothing_matches(gold: Gold, predictions: pl.DataFrame, on: list[str]) -> str:
    if predictions.is_empty():
        return "predictions: there is not one row; has the run judged anything?"
    ours, theirs = gold.rows.select(on).row(0), predictions.select(on).row(0)
    hint = "; policy=NAME judges by key alone" if "policy" in on else "; give gold the keys of the predictions"
    return f"{gold.source}: no row has a prediction by {' and '.join(on)}: gold has {ours}, predictions {theirs}{hint}"


def _bools(column: pl.Series) -> Bools:
    return column.to_numpy().astype(np.bool_)


def _score_in(scores: Sequence[Mapping[str, Any]], code: str) -> float:
    return float(next((one["score"] for one in scores if one["category"] == code), 0.0))
