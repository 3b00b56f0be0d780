"""Scores of the ratings from next-token log-probabilities."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.types import Rating
from curate.engines.scoring import beginnings, followers, forks, score, shares

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


CODES = {"O1": (7, 1, 5), "O2": (7, 2, 5), "O10": (7, 1, 0, 5)}
"""As of a tokenizer that cuts digits: the three part behind "O", two of them once more behind "O1"."""


def test_labels_are_asked_about_where_they_part_alone():
    assert forks(CODES) == [(7,), (7, 1)]
    assert forks({"O1": (7, 1, 5)}) == [], "a single one has nothing to be told apart from"


def test_shares_are_those_of_a_grammar_that_allows_nothing_else():
    logprobs = {(7,): {1: math.log(0.3), 2: math.log(0.1)}, (7, 1): {5: math.log(0.2), 0: math.log(0.6)}}
    found = shares(CODES, logprobs)
    assert found == pytest.approx({"O2": 0.25, "O1": 0.75 * 0.25, "O10": 0.75 * 0.75})
    assert shares({"O1": (7, 1, 5)}, {}) == {"O1": 1.0}


@given(st.integers(0, 10**6), st.integers(1, 12))
def test_shares_add_up_and_follow_the_probabilities(seed: int, count: int):
    drawn = random.Random(seed)
    labels = {n: (*(drawn.randrange(3) for _ in range(drawn.randrange(3))), 10 + n) for n in range(count)}
    logprobs = {at: {token: -drawn.expovariate(0.05) for token in followers(labels, at)} for at in forks(labels)}
    found = shares(labels, logprobs)
    assert math.fsum(found.values()) == pytest.approx(1.0)
    for label, tokens in labels.items():
        by_hand = 1.0
        for at, next_ones in logprobs.items():
            if tokens[: len(at)] == at:
                by_hand *= math.exp(next_ones[tokens[len(at)]]) / math.fsum(map(math.exp, next_ones.values()))
        assert found[label] == pytest.approx(by_hand, abs=1e-9)
