"""What scores of categories bring: how well each finds its own, against the one category that the answer names.

For a category that gold rows name, the Unsafe rows that name it are looked for among all others. By the answer a row's
score is p_unsafe where the answer names that category, and 0 where it names another or none; by the score it is
`category_scores`. Both are ranked as `curate.evaluation.ranking` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from curate.evaluation.intervals import Interval, statistic_intervals
from curate.evaluation.outcomes import Bools, Floats, Outcomes
from curate.evaluation.ranking import areas_of, coded
from curate.evaluation.thresholds import MIN_UNSAFE


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryRanking:
    """Average precision for one category.

    Attributes:
        category: its code.
        n: Unsafe gold rows that name it.
        called_safe: how many of them the safeguard called Safe.
        by_answer, by_score: average precision, see the module.
        gain: 95 % interval of by_score - by_answer, over the same resampled rows.
    """

    category: str
    n: int
    called_safe: int
    by_answer: float
    by_score: float
    gain: Interval


def category_rankings(outcomes: Outcomes) -> tuple[CategoryRanking, ...]:
    """One for each category that `MIN_UNSAFE` Unsafe gold rows name; none where predictions have no such scores."""
    if outcomes.rows["category_scores"].null_count() == len(outcomes):
        return ()
    return tuple(_rankings(outcomes))


def _rankings(outcomes: Outcomes) -> Iterator[CategoryRanking]:
    gold = outcomes.rows["category"].to_numpy()
    for code in sorted({str(one) for one in gold[outcomes.unsafe] if one is not None}):
        wanted = outcomes.unsafe & (gold == code)
        if wanted.sum() < MIN_UNSAFE:
            continue
        yield _ranking(outcomes, code, wanted, outcomes.category_score(code))


def _ranking(outcomes: Outcomes, code: str, wanted: Bools, by_score: Floats) -> CategoryRanking:
    named = outcomes.rows["predicted_category"].to_numpy() == code
    p = outcomes.p_unsafe
    by_answer = np.where(np.isnan(p), np.nan, np.where(named, p, 0.0))
    (answers, answer_size), (scored, score_size) = coded(by_answer, wanted), coded(by_score, wanted)

    def precisions(drawn: slice | np.ndarray) -> Floats:
        return np.array([areas_of(answers[drawn], answer_size)[1], areas_of(scored[drawn], score_size)[1]])

    before, after = precisions(slice(None)).tolist()
    (gain,) = statistic_intervals(len(answers), lambda drawn: np.diff(precisions(drawn)))
    return CategoryRanking(
        category=code,
        n=int(wanted.sum()),
        called_safe=int((wanted & (outcomes.rows["predicted"] == "Safe").fill_null(value=False).to_numpy()).sum()),
        by_answer=before,
        by_score=after,
        gain=gain,
    )
