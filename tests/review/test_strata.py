"""A budget of reviews is shared out among what is alike, all of it and no more than there is."""

from __future__ import annotations

from collections import Counter

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from curate.review.strata import CLEAN_SHARE, FLOOR, Kind, allocate, merged, stratum

kinds = st.lists(
    st.tuples(st.sampled_from(["clean", "unsafe", "review"]), st.integers(1, 5000), st.floats(0, 1)),
    min_size=1,
    max_size=12,
).map(
    lambda drawn: [
        Kind(name=f"{split}, {number}", split=split, population=population, p_unsafe=p)
        for number, (split, population, p) in enumerate(drawn)
    ]
)


@given(kinds, st.integers(1, 3000))
def test_all_of_a_budget_is_used_and_no_more_than_there_is(drawn, reviews):
    given_out = allocate(drawn, reviews)
    assert sum(given_out.values()) == min(reviews, sum(kind.population for kind in drawn))
    for kind in drawn:
        assert 0 <= given_out[kind.name] <= kind.population


@given(kinds, st.integers(480, 3000))
def test_every_stratum_is_looked_into(drawn, reviews):
    given_out = allocate(drawn, reviews)
    for kind in drawn:
        assert given_out[kind.name] >= min(FLOOR, kind.population)


@given(kinds, st.integers(1, 3000))
def test_small_strata_go_together_where_reviews_are_few(drawn, reviews):
    together = merged(drawn, reviews)
    assert together.keys() == {kind.name for kind in drawn}
    clean = {kind.name for kind in drawn if kind.split == "clean"}
    groups = Counter(together.values())
    for name in groups:
        members = {kind for kind, group in together.items() if group == name}
        assert members <= clean or not members & clean, "what is in clean is told apart from the rest"
    if reviews >= FLOOR * len(drawn) / (1 - CLEAN_SHARE):
        assert len(groups) == len(drawn)
    if reviews < FLOOR and len(clean) == len(drawn):
        assert len(groups) == 1


def test_more_reviews_go_where_the_safeguard_is_less_sure_and_where_there_is_more():
    sure, unsure, few = (
        Kind(name=name, split="clean", population=population, p_unsafe=p)
        for name, population, p in (("sure", 10_000, 0.001), ("unsure", 10_000, 0.3), ("few", 1000, 0.3))
    )
    given_out = allocate([sure, unsure, few], 1000)
    assert given_out["unsure"] > 4 * given_out["sure"] > 4 * FLOOR
    assert given_out["unsure"] > 8 * given_out["few"]


def test_clean_is_told_apart_by_p_unsafe_and_the_rest_by_category():
    rows = pl.DataFrame(
        {
            "split": ["clean", "clean", "clean", "clean", "unsafe", "review"],
            "p_unsafe": [0.0, 0.001, 0.97, None, 0.6, 0.3],
            "category": ["NA", "NA", "O1", "NA", "O2", None],
        }
    )
    assert rows.select(stratum())["stratum"].to_list() == [
        "clean, p_unsafe from 0 to 0.001",
        "clean, p_unsafe from 0.001 to 0.01",
        "clean, p_unsafe from 0.95",
        "clean, p_unsafe unknown",
        "unsafe, O2",
        "review, no category",
    ]
