"""Scores of the ratings from next-token log-probabilities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.types import Rating
from curate.engines.scoring import beginnings, followers, score

SINGLE = {Rating.SAFE: (7,), Rating.UNSAFE: (9,)}
SHARED = {Rating.SAFE: (1, 2), Rating.UNSAFE: (1, 3, 4)}
logs = st.floats(min_value=-200, max_value=0)


def test_labels_of_one_token_take_one_request():
    assert beginnings(SINGLE) == [()]
    assert followers(SINGLE, ()) == [7, 9]


def test_longer_labels_are_walked_and_shared_beginnings_asked_once():
    assert beginnings(SHARED) == [(), (1,), (1, 3)]
    assert [followers(SHARED, b) for b in beginnings(SHARED)] == [[1], [2, 3], [4]]


def test_the_more_probable_label_is_the_rating():
    result = score(SINGLE, {(): {7: math.log(0.2), 9: math.log(0.6), 5: math.log(0.2)}})
    assert result.rating is Rating.UNSAFE
    assert result.p_unsafe == pytest.approx(0.75)
    assert result.label_mass == pytest.approx(0.8)


def test_labels_of_several_tokens_have_the_probability_of_their_sequence():
    logprobs = {
        (): {1: math.log(0.5)},
        (1,): {2: math.log(0.6), 3: math.log(0.4)},
        (1, 3): {4: math.log(0.5)},
    }
    result = score(SHARED, logprobs)
    assert result.rating is Rating.SAFE
    assert result.p_unsafe == pytest.approx(0.1 / 0.4)
    assert result.label_mass == pytest.approx(0.4)


def test_a_tie_is_safe_and_improbable_labels_still_compare():
    assert score(SINGLE, {(): {7: -5.0, 9: -5.0}}).rating is Rating.SAFE
    assert score(SINGLE, {(): {7: -2000.0, 9: -1000.0}}).p_unsafe == pytest.approx(1.0)
    assert score(SINGLE, {(): {7: -1000.0, 9: -2000.0}}).p_unsafe == pytest.approx(0.0)


@given(logs, logs)
def test_rating_and_p_unsafe_agree_and_mirror(safe: float, unsafe: float):
    result = score(SINGLE, {(): {7: safe, 9: unsafe}})
    mirrored = score(SINGLE, {(): {7: unsafe, 9: safe}})
    assert (result.rating is Rating.UNSAFE) == (result.p_unsafe > 0.5)
    assert result.p_unsafe + mirrored.p_unsafe == pytest.approx(1.0)
