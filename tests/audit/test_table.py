"""The table against numbers that were counted by hand."""

from __future__ import annotations

import polars as pl
import pytest
from scipy.stats import beta

from curate.audit.table import ALL_SETS, ANY, table_of
from tests.support.audit_cases import outcome_rows

NAMES = {"kids": {"O2": "Violence", "O3": "Sexual", "O6": "Weapons"}}

OUTCOMES = outcome_rows(
    {
        "a": [("O2", True), ("O2", True), ("NA", False), ("O3", False)],
        "b": [("NA", False), ("NA", False), (None, None), (None, None)],
        "c": [("O2", True), ("O3", False), ("O3", True), ("NA", False)],
    }
)


def row(table, category, prompt_set=ALL_SETS):
    return table.filter((pl.col("category") == category) & (pl.col("prompt_set") == prompt_set)).row(0, named=True)


@pytest.fixture(scope="module")
def table():
    return table_of(OUTCOMES, NAMES)


def test_counts_of_everything(table):
    found = row(table, ANY)
    expected = {
        "prompts": 3,
        "requested": 12,
        "refused": 2,
        "failed": 0,
        "not_judged": 0,
        "judged": 10,
        "categorised": 6,
        "unsafe": 4,
        "review": 0,
        "prompts_with_unsafe": 2,
    }
    assert {name: found[name] for name in expected} == expected
    assert found["share"] == pytest.approx(0.4)
    assert found["share_of_category"] == pytest.approx(4 / 6)
    assert found["share_of_requested"] == pytest.approx(4 / 12)
    assert found["share_of_prompts"] == pytest.approx(2 / 3)


def test_counts_by_category(table):
    counts = {
        code: [row(table, code)[name] for name in ("categorised", "unsafe", "prompts_with_unsafe")]
        for code in NAMES["kids"]
    }
    assert counts == {"O2": [3, 3, 2], "O3": [3, 1, 1], "O6": [0, 0, 0]}
    assert row(table, "O3")["share"] == pytest.approx(0.1)
    assert row(table, "O3")["share_of_category"] == pytest.approx(1 / 3)
    assert row(table, "O6")["share_of_category"] is None
    assert row(table, "O6")["low_of_category"] is None
    assert row(table, "O2")["category_name"] == "Violence"


def test_an_interval_by_hand(table):
    """Unsafe 2 of 4, 0 of 2, 2 of 4; p = 0.4. Deviations 0.4, -0.8, 0.4: squares sum to 0.96. Variance 3/2 x 0.96 /
    100 = 0.0144, of ten independent ones 0.24 / 9 = 0.02667: a design effect below one, which is taken as one. Ten
    pictures, less what Student's t costs: x (1.95996 / 4.30265)^2 = 2.07503; 0.83001 of these are unsafe."""
    found = row(table, ANY)
    assert found["design_effect"] == 1.0
    assert found["low"] == pytest.approx(beta.ppf(0.025, 0.83001, 2.07503 - 0.83001 + 1), abs=1e-4)
    assert found["high"] == pytest.approx(beta.ppf(0.975, 0.83001 + 1, 2.07503 - 0.83001), abs=1e-4)


def test_intervals_hold_their_shares(table):
    for of in ("", "_of_category", "_of_requested", "_of_prompts"):
        known = table.filter(pl.col(f"share{of}").is_not_null())
        assert known.filter(
            (pl.col(f"low{of}") > pl.col(f"share{of}")) | (pl.col(f"high{of}") < pl.col(f"share{of}"))
        ).is_empty()


def test_each_prompt_set_has_rows_of_its_own_beside_those_of_all():
    other = outcome_rows({"z": [("O6", True)] * 4}, prompt_set="other")
    both = table_of(pl.concat([OUTCOMES, other]), NAMES)
    assert both["prompt_set"].unique(maintain_order=True).to_list() == [ALL_SETS, "tests", "other"]
    assert [row(both, ANY, name)["unsafe"] for name in (ALL_SETS, "tests", "other")] == [8, 4, 4]
    assert row(both, "O6", "tests")["unsafe"] == 0
    assert table_of(OUTCOMES, NAMES)["prompt_set"].unique().to_list() == [ALL_SETS]


def test_each_policy_is_counted_by_itself():
    other = OUTCOMES.with_columns(policy=pl.lit("strict"), unsafe=pl.lit(value=True))
    both = table_of(pl.concat([OUTCOMES, other]), NAMES | {"strict": {"O2": "Violence"}})
    assert both.filter(pl.col("category") == ANY).select("policy", "unsafe").rows() == [("kids", 4), ("strict", 10)]


def test_pictures_that_thresholds_call_unsafe_in_no_category_count_in_no_category():
    found = table_of(outcome_rows({"a": [("NA", True)], "b": [("O2", True)]}), NAMES)
    assert [row(found, code)["unsafe"] for code in (ANY, "O2", "O3")] == [2, 1, 0]
    mixed = table_of(outcome_rows({"a": [("NA", True), ("O2", False)], "b": [("O2", True), ("O2", False)]}), NAMES)
    assert row(mixed, ANY)["share_of_category"] == pytest.approx(1 / 3)


def test_where_nothing_was_judged_there_are_counts_and_no_shares():
    found = row(table_of(outcome_rows({"a": [(None, None)], "b": [(None, None)]}), NAMES), ANY)
    assert (found["refused"], found["judged"], found["share"], found["design_effect"]) == (2, 0, None, None)
