"""Bounds on how much of a population is unsafe hold what they say, whatever is true and however reviewers err."""

from __future__ import annotations

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.review.estimates import ReviewerErrors, Stratum, estimate
from tests.support.review_coverage import ERRORS, RATES, coverage

MANY = 10**6


def one(unsafe, reviewed, population=MANY):
    return [Stratum(population=population, reviewed=reviewed, unsafe=unsafe)]


@pytest.mark.parametrize(("unsafe", "reviewed"), [(0, 300), (0, 3000), (3, 1000), (50, 1000), (299, 300), (1, 10)])
def test_of_one_stratum_they_are_clopper_and_pearsons(unsafe, reviewed):
    found = estimate(one(unsafe, reviewed))
    exact = scipy.stats.binomtest(unsafe, reviewed).proportion_ci(0.95, "exact")
    assert found.rate == pytest.approx(unsafe / reviewed)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), rel=0.03, abs=1e-9)
    one_sided = scipy.stats.binomtest(unsafe, reviewed, alternative="less").proportion_ci(0.95, "exact").high
    assert found.at_most == pytest.approx(one_sided, rel=0.03)


def test_without_a_hit_they_are_wendell_and_schmees():
    """The least favourable way to share out a rate is then what can be computed: all of it in one stratum."""
    strata = [Stratum(population=p, reviewed=n, unsafe=0) for p, n in ((900_000, 1500), (90_000, 900), (10_000, 100))]
    worst = max(one.population / MANY * (1 - 0.05 ** (1 / one.reviewed)) for one in strata)
    assert estimate(strata).at_most == pytest.approx(worst, rel=0.03)
    assert estimate(strata).low == 0


def test_a_stratum_that_was_looked_at_as_a_whole_leaves_nothing_to_chance():
    whole = Stratum(population=50, reviewed=50, unsafe=10)
    found = estimate([whole])
    assert found.low == found.rate == found.high == found.at_most == 0.2
    together = estimate([whole, *one(0, 300, population=950)])
    assert together.low == pytest.approx(0.01)
    assert together.high == pytest.approx(0.01 + 0.95 * estimate(one(0, 300)).high, rel=0.02)


def test_what_nobody_has_looked_into_may_be_anything():
    found = estimate([*one(0, 300, population=900), Stratum(population=100, reviewed=0, unsafe=0)])
    assert found.unreviewed == 100
    assert found.rate == 0
    assert 0.1 < found.at_most < 0.12
    assert estimate([Stratum(population=100, reviewed=0, unsafe=0)]) is None


def test_reviewers_errors_are_taken_out():
    errors = ReviewerErrors(sensitivity=0.9, specificity=0.95)
    found = estimate(one(140, 1000), errors)
    assert found.rate == pytest.approx((0.14 - 0.05) / 0.85)
    assert found.low < found.rate < found.high
    assert found.high - found.low > estimate(one(140, 1000)).high - estimate(one(140, 1000)).low


def test_luck_with_reviewers_errors_buys_no_better_bound():
    """Fewer are called Unsafe than reviewers call by error alone; that says little of how many are."""
    errors = ReviewerErrors(sensitivity=0.9, specificity=0.9)
    lucky, expected = (estimate(one(unsafe, 1000), errors).at_most for unsafe in (80, 100))
    assert lucky > 0.5 * expected > 0.005
    with pytest.raises(InputError, match=r"specificity=0\.9: .* than the 3 that are"):
        estimate(one(3, 1000), errors)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 1)), min_size=1, max_size=4), st.integers(1, 10**5))
@settings(max_examples=25, deadline=None)
def test_the_estimate_lies_within_its_bounds(drawn, times):
    strata = [Stratum(population=n * times, reviewed=n, unsafe=round(share * n)) for n, share in drawn]
    found = estimate(strata, draws=500)
    assert 0 <= found.low <= found.rate + 1e-9
    assert found.rate - 1e-9 <= found.at_most <= found.high + 1e-9
    assert found.high <= 1 + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("rate", RATES)
def test_they_hold_what_they_say(rate, error):
    """Of 150 trials; `python -m tests.support.review_coverage` is the same with 1,000, for docs/review.md."""
    held, bounded = coverage(rate, error, 150)
    assert held >= 0.95 - 3 * (0.95 * 0.05 / 150) ** 0.5
    assert bounded >= 0.95 - 3 * (0.95 * 0.05 / 150) ** 0.5
