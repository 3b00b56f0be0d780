"""What scores of categories bring over the one category that an answer names, against scikit-learn."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import sklearn.metrics as reference

from curate.evaluation.category_ranking import category_rankings
from curate.evaluation.predictions import read_predictions
from curate.evaluation.thresholds import MIN_UNSAFE
from tests.support.evaluation_cases import Row, outcomes_of


def drawn(count, seed=0):
    """Rows in which the score of O6 knows more than the answer, which names O6 only where p_unsafe is high."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        unsafe, p = bool(rng.random() < 0.4), float(rng.random())
        category = str(rng.choice(["O2", "O6"])) if unsafe else "NA"
        p = p if unsafe else p * 0.7
        share = 0.8 if category == "O6" else 0.3
        answer = "Unsafe" if p > 0.5 else "Safe"
        named = ("O6" if share > 0.5 else "O2") if answer == "Unsafe" else "NA"
        scores = {"O2": p * (1 - share), "O6": p * share}
        yield Row(unsafe=unsafe, answer=answer, category=category, answered_category=named, p=p, scores=scores)


@pytest.mark.slow
def test_average_precisions_are_scikit_learns():
    rows = list(drawn(300))
    rankings = {r.category: r for r in category_rankings(outcomes_of(rows))}
    assert set(rankings) == {"O2", "O6"}
    for code, ranking in rankings.items():
        wanted = [row.category == code for row in rows]
        by_answer = [row.p if row.answered_category == code else 0.0 for row in rows]
        by_score = [np.float32(row.scores[code]) for row in rows]
        assert ranking.n == sum(wanted)
        assert ranking.called_safe == sum(w and row.answer == "Safe" for w, row in zip(wanted, rows, strict=True))
        assert ranking.by_answer == pytest.approx(reference.average_precision_score(wanted, by_answer))
        assert ranking.by_score == pytest.approx(reference.average_precision_score(wanted, by_score))
        low, high = ranking.gain
        assert low < ranking.by_score - ranking.by_answer < high
    assert rankings["O6"].gain[0] > 0, "the score knows more here"


@pytest.mark.slow
def test_an_invalid_answer_is_ranked_worst_both_ways():
    rows = list(drawn(200))
    broken = [Row(unsafe=r.unsafe, answer=None, category=r.category) if i % 3 == 0 else r for i, r in enumerate(rows)]
    whole, less = (category_rankings(outcomes_of(some)) for some in (rows, broken))
    for before, after in zip(whole, less, strict=True):
        assert after.n == before.n
        assert after.by_answer < before.by_answer
        assert after.by_score < before.by_score


def test_there_is_nothing_to_say_without_scores_or_of_rare_categories():
    assert category_rankings(outcomes_of([Row(unsafe=True, answer="Unsafe", category="O6", p=0.9)] * 20)) == ()
    row = Row(unsafe=True, answer="Unsafe", category="O6", answered_category="O6", p=0.9, scores={"O6": 0.9})
    safe = Row(unsafe=False, answer="Safe", p=0.1, scores={"O6": 0.1})
    assert category_rankings(outcomes_of([row] * (MIN_UNSAFE - 1) + [safe])) == ()
    (ranking,) = category_rankings(outcomes_of([row] * MIN_UNSAFE + [safe]))
    assert (ranking.by_answer, ranking.by_score) == (1.0, 1.0)


def test_a_table_with_another_column_of_that_name_is_read(tmp_path):
    table = {"key": ["a"], "rating": ["Safe"], "category_scores": ["many"]}
    pl.DataFrame(table).write_csv(tmp_path / "p.csv")
    assert read_predictions(str(tmp_path / "p.csv"))["category_scores"].to_list() == [None]
