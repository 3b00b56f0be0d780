"""Numbers of reviews: against scipy's exact bounds, and against the rules of thumb that textbooks have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from curate.report.binomial import LEVEL, chance_of_at_most, reviews_needed, upper_bound


@given(st.integers(0, 40), st.integers(0, 4000), st.floats(0.0001, 0.9999))
def test_chances_are_those_of_the_binomial_distribution(found, reviews, share):
    assert chance_of_at_most(found, reviews, share) == pytest.approx(stats.binom.cdf(found, reviews, share), abs=1e-9)


@given(st.integers(0, 20), st.integers(21, 5000))
def test_the_bound_is_that_of_clopper_and_pearson(found, reviews):
    assert upper_bound(found, reviews) == pytest.approx(stats.beta.ppf(LEVEL, found + 1, reviews - found), abs=1e-6)


def test_with_as_many_found_as_reviewed_nothing_is_bounded():
    assert upper_bound(3, 3) == upper_bound(0, 0) == 1.0


@pytest.mark.parametrize(("share", "reviews"), [(0.05, 59), (0.01, 299), (0.001, 2995), (0.0005, 5990)])
def test_nothing_found_takes_what_the_rule_of_three_says(share, reviews):
    assert reviews_needed(share) == reviews
    assert reviews_needed(share) == pytest.approx(3 / share, rel=0.02)


@given(st.floats(0.0005, 0.3), st.integers(0, 12))
def test_one_review_fewer_would_not_do(share, found):
    needed = reviews_needed(share, found)
    assert upper_bound(found, needed) <= share + 1e-9
    assert upper_bound(found, needed - 1) > share - 1e-9
