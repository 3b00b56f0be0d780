"""Agreement beyond chance, against scikit-learn and by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from curate.review.agreement import agreement


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_kappa_is_scikit_learns(pairs):
    found = agreement(pairs)
    first, second = zip(*pairs, strict=True)
    if found.kappa is None:
        assert len({*first, *second}) == 1
    else:
        assert found.kappa == pytest.approx(cohen_kappa_score(first, second))
    assert found.observed == sum(a == b for a, b in pairs) / len(pairs)


def test_ac1_holds_up_where_nearly_all_is_safe():
    """Gwet's example of the paradox: 118 of 125 agree, and kappa is below nothing."""
    pairs = [(True, True)] * 118 + [(True, False)] * 5 + [(False, True)] * 2
    found = agreement(pairs)
    assert found.kappa == pytest.approx(-0.0234, abs=1e-4)
    assert found.ac1 == pytest.approx(0.9408, abs=1e-4)


def test_of_nothing_there_is_nothing_to_say():
    assert agreement([]) is None
