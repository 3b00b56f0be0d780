"""Policies for tests: one by hand, and any that `load_policy` accepts."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.policies.policy import MODERATION, Category, Policy, check_policy

WEAPONS = {
    "name": "small",
    "categories": {
        "O1": {"name": "Weapons", "should_not": ["Show guns.", "Sell guns."], "can": ["Show museums."]},
        "O2": {"name": 'Fire (and "smoke")', "should_not": ["Show arson."], "can": ["Show candles."]},
    },
}

_visible = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))
_awkward = st.sampled_from(
    ["O1: x", "Can:", "- a", "* b", "1. c", '"}', "\\", "NA: None applying", "Assessment", "**x**:"]
)
_line = st.one_of(st.text(_visible, min_size=1, max_size=12), _awkward).map(str.strip).filter(bool)
_lines = st.lists(_line, min_size=1, max_size=3).map(tuple)
_codes = st.text(string.ascii_uppercase + string.digits, min_size=1, max_size=8).filter(lambda c: c[0].isalpha())


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    codes = draw(st.lists(_codes, min_size=1, max_size=4, unique=True))
    names = draw(st.lists(_line, min_size=len(codes), max_size=len(codes), unique_by=str.casefold))
    categories = {c: draw(_category(name)) for c, name in zip(codes, names, strict=True)}
    return Policy(name="any", categories=categories)


def _category(name: str) -> st.SearchStrategy[Category]:
    return st.builds(
        Category,
        name=st.just(name),
        should_not=_lines,
        can=st.one_of(st.just(()), _lines),
        enforced=st.booleans(),
        moderation=st.lists(st.sampled_from(MODERATION), unique=True, max_size=2).map(tuple),
    )


def is_accepted(policy: Policy) -> bool:
    try:
        check_policy(policy)
    except InputError:
        return False
    return True


valid_policies = policies().filter(is_accepted)
