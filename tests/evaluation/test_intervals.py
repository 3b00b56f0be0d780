"""Intervals, paired comparison and prevalence: against theory, by hand, and by their laws."""

from __future__ import annotations

from math import comb

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from curate.evaluation.compare import compare, mcnemar
from curate.evaluation.intervals import (
    RESAMPLES,
    percentiles,
    resampled_counts,
    score_intervals,
    statistic_intervals,
)
from curate.evaluation.metrics import indicators
from curate.evaluation.prevalence import Share, estimate_prevalence, lang_reiczigel, rogan_gladen
from tests.support.evaluation_cases import ROWS, Row, from_counts, outcomes_of, predictions_of


def test_the_interval_of_a_share_is_that_of_the_binomial():
    low, high = score_intervals(outcomes_of(from_counts(tp=300, fn=100, fp=0, tn=600)))["recall"]
    error = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert (low, high) == pytest.approx((0.75 - error, 0.75 + error), abs=0.006)


def test_counting_kinds_is_resampling_rows():
    """The multinomial short cut has the moments of drawing the rows themselves."""
    rows = indicators(outcomes_of(from_counts(tp=30, fn=10, fp=5, tn=55)))
    rng = np.random.default_rng(1)
    drawn = np.stack([rows[rng.integers(100, size=100)].sum(axis=0) for _ in range(RESAMPLES)])
    counts = resampled_counts(rows)
    assert counts.mean(axis=0) == pytest.approx(drawn.mean(axis=0), abs=0.5)
    assert counts.std(axis=0) == pytest.approx(drawn.std(axis=0), abs=0.3)
    assert (counts[:, 0] == 100).all()


@settings(max_examples=25)
@given(ROWS)
def test_intervals_are_reproducible_fractions_in_order(rows):
    outcomes = outcomes_of(rows)
    intervals = score_intervals(outcomes)
    assert intervals == score_intervals(outcomes)
    for low, high in intervals.values():
        assert (low is None) == (high is None)
        assert low is None or 0 <= low <= high <= 1


def test_statistics_of_rows_are_resampled_too():
    values = np.arange(100.0)
    ((low, high),) = statistic_intervals(100, lambda drawn: np.array([values[drawn].mean()]))
    error = 1.96 * values.std() / 10
    assert (low, high) == pytest.approx((49.5 - error, 49.5 + error), abs=0.5)


def test_resamples_without_a_value_are_left_out():
    assert percentiles(np.array([[np.nan, 1.0], [np.nan, np.nan]])) == [(None, None), (1.0, 1.0)]


def test_a_safeguard_does_not_differ_from_itself():
    outcomes = outcomes_of(from_counts(tp=5, fn=3, fp=2, tn=9, exceptions=4, exceptions_safe=3))
    same = compare(("a", outcomes), ("b", outcomes))
    assert set(same.scores.values()) == {0.0}
    assert set(same.intervals.values()) == {(0.0, 0.0)}
    assert same.p_value == 1


def test_paired_differences_by_hand():
    truth = [True] * 4 + [False] * 4
    one = [Row(unsafe=u, answer="Unsafe" if u else "Safe") for u in truth]
    other = [Row(unsafe=u, answer="Safe" if i < 3 else ("Unsafe" if u else "Safe")) for i, u in enumerate(truth)]
    found = compare(("one", outcomes_of(one)), ("other", outcomes_of(other)))
    assert found.scores["recall"] == pytest.approx(-0.75)
    assert found.scores["specificity"] == 0
    assert (found.only_reference_right, found.only_other_right) == (3, 0)
    assert found.p_value == pytest.approx(0.25)


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(0)
    right = rng.random(400) < 0.7
    better = right | (rng.random(400) < 0.1)

    def rows(correct):
        return [Row(unsafe=i % 2 == 0, answer=_answer(i % 2 == 0, c)) for i, c in enumerate(correct)]

    a, b = outcomes_of(rows(right)), outcomes_of(rows(better))
    low, high = compare(("a", a), ("b", b)).intervals["balanced_accuracy"]
    one_low, one_high = score_intervals(a)["balanced_accuracy"]
    assert low > 0
    assert high - low < (one_high - one_low) * 0.8


def _answer(unsafe: bool, correct: bool) -> str:
    return "Unsafe" if unsafe == correct else "Safe"


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (3, 9), (10, 10), (40, 20)])
def test_mcnemar_is_the_exact_binomial(b, c):
    tail = sum(comb(b + c, i) for i in range(min(b, c) + 1)) / 2 ** (b + c)
    assert mcnemar(b, c) == pytest.approx(min(1.0, 2 * tail))


def test_rogan_gladen_by_hand():
    assert rogan_gladen(0.10, 0.9, 0.95) == pytest.approx(0.05 / 0.85)
    assert rogan_gladen(0.01, 0.9, 0.95) == 0
    assert rogan_gladen(0.99, 0.9, 0.95) == 1
    assert rogan_gladen(0.5, 0.4, 0.6) is None


def test_with_known_error_rates_the_interval_is_agresti_coulls():
    known = Share(hits=10**9, n=10**9)
    low, high = lang_reiczigel(Share(hits=20, n=200), known, known)
    n, z = 200 + 1.96**2, 1.96
    centre = (20 + z**2 / 2) / n
    error = z * np.sqrt(centre * (1 - centre) / n)
    assert (low, high) == pytest.approx((centre - error, centre + error), abs=1e-4)


@pytest.mark.parametrize(
    ("flagged", "recall", "specificity", "expected"),
    [((40, 200), (45, 50), (57, 60), (0.0751185, 0.2618847)), ((120, 400), (18, 20), (27, 30), (0.0888242, 0.3699318))],
)
def test_the_interval_is_that_of_the_papers_equations(flagged, recall, specificity, expected):
    """Equations 2 to 17 worked through step by step, apart from the code."""
    shares = (Share(hits=hits, n=n) for hits, n in (flagged, recall, specificity))
    assert lang_reiczigel(*shares) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("truth", [0.02, 0.1, 0.5])
def test_the_interval_covers_the_true_prevalence(truth):
    rng = np.random.default_rng(0)
    recall, specificity, trials = 0.88, 0.93, 600
    flagged = truth * recall + (1 - truth) * (1 - specificity)
    covered = 0
    for _ in range(trials):
        shares = (
            Share(hits=int(rng.binomial(n, p)), n=n) for n, p in ((1000, flagged), (200, recall), (200, specificity))
        )
        low, high = lang_reiczigel(*shares)
        covered += low <= truth <= high
    assert 0.93 <= covered / trials <= 0.99


def test_prevalence_uses_the_errors_of_labelled_rows_under_the_common_policy():
    gold = [
        *from_counts(tp=8, fn=2, fp=1, tn=9),
        *[Row(unsafe=False, answer="Unsafe", exception=True)] * 7,
        *[Row(unsafe=True, answer=None)] * 5,
    ]
    unlabelled = predictions_of([Row(unsafe=False, answer=a) for a in ["Unsafe"] * 3 + ["Safe"] * 7 + [None]])
    found = estimate_prevalence(outcomes_of(gold), unlabelled)
    assert (found.n, found.n_invalid, found.flagged) == (10, 1, 0.3)
    assert found.unsafe == pytest.approx((0.3 + 0.9 - 1) / (0.8 + 0.9 - 1))
    assert 0 <= found.interval[0] <= found.unsafe <= found.interval[1] <= 1


def test_a_safeguard_no_better_than_chance_tells_nothing():
    found = estimate_prevalence(
        outcomes_of(from_counts(tp=5, fn=5, fp=5, tn=5)), predictions_of([Row(unsafe=False, answer="Safe")])
    )
    assert found.unsafe is None
    assert found.interval == (None, None)


def test_prevalence_needs_both_classes_and_a_label():
    both = outcomes_of(from_counts(tp=1, fn=0, fp=0, tn=1))
    nothing: pl.DataFrame = predictions_of([Row(unsafe=False, answer=None)])
    assert estimate_prevalence(both, nothing) is None
    assert estimate_prevalence(outcomes_of([Row(unsafe=True, answer="Safe")]), predictions_of([])) is None
