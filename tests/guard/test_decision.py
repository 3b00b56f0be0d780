"""A decision is true where it blocks, and nothing that lets an unjudged picture pass is one."""

from __future__ import annotations

import pytest

from curate.guard.decision import Decision

PASSED = Decision(
    blocked=False,
    status="labelled",
    policy="p",
    policy_hash="h",
    split="clean",
    decided_by="rule clean",
    rating="Safe",
    category="NA",
    category_name="None applying",
    p_unsafe=0.1,
)


def test_it_is_true_where_it_blocks():
    assert not PASSED
    assert Decision(blocked=True, status="undecodable", policy="p", policy_hash="h", split="failed", decided_by="")


def test_it_comes_back_from_plain_values_with_keys_of_a_later_version():
    assert Decision.of_json({**PASSED.as_json(), "later": 1}) == PASSED


@pytest.mark.parametrize(
    "change",
    [
        {"blocked": None},
        {"blocked": 0},
        {"blocked": "false"},
        {"status": "undecodable"},
        {"detail": "only its first frame was judged"},
    ],
)
def test_what_would_let_pass_what_nobody_judged_is_no_decision(change):
    with pytest.raises(ValueError, match="no decision"):
        Decision.of_json(PASSED.as_json() | change)


@pytest.mark.parametrize("key", PASSED.as_json())
def test_a_decision_is_whole(key):
    with pytest.raises(ValueError, match="no decision"):
        Decision.of_json({name: value for name, value in PASSED.as_json().items() if name != key})
