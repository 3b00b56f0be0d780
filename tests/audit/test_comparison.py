"""Two audits side by side: what is paired, and what is refused."""

from __future__ import annotations

import polars as pl
import pytest
from scipy.stats import binomtest

from curate.audit.comparison import Audited, compare, load_audit
from curate.audit.record import dumped
from curate.audit.table import ANY
from curate.core.errors import InputError
from tests.support.audit_cases import outcome_rows

JUDGED_BY = {
    "model": "builtin",
    "judge": "0123",
    "policies": {"kids": "4567"},
    "categories": {"kids": {"O2": "Violence", "O3": "Sexual"}},
    "rules": {"splits": {"unsafe": "unsafe"}},
}


def audited(place, outcomes, **judged_by):
    record = {"generator": {"name": place}, "judged_by": JUDGED_BY | judged_by}
    return Audited(place=place, record=record, outcomes=outcomes)


FIRST = outcome_rows(
    {
        "a": [("O2", True), ("O2", True), ("NA", False)],
        "b": [("O3", True), ("NA", False), (None, None)],
        "c": [("NA", False), ("O2", True), ("NA", False)],
        "only first": [("O2", True)],
    }
)
SECOND = outcome_rows(
    {
        "b": [("O2", True), ("NA", False), ("NA", False)],
        "a": [("NA", False), ("O2", True), ("NA", False)],
        "c": [("NA", False), ("NA", False), ("O3", True)],
    }
)


@pytest.fixture(scope="module")
def found():
    return compare(audited("one", FIRST), audited("two", SECOND))


def row(found, category):
    return found.table.filter(pl.col("category") == category).row(0, named=True)


def test_pictures_are_paired_by_prompt_and_number_whatever_their_order(found):
    """Unsafe: a 110 against 010, b 10. against 10., c 010 against 001, where . is left out since one side refused."""
    expected = {"prompts": 3, "pairs": 8, "unsafe_first": 4, "unsafe_second": 3, "only_first": 2, "only_second": 1}
    assert {name: row(found, ANY)[name] for name in expected} == expected
    assert row(found, ANY)["difference"] == pytest.approx(-1 / 8)
    assert row(found, ANY)["low"] < -1 / 8 < row(found, ANY)["high"]
    assert row(found, ANY)["p_value"] == 1.0


def test_a_category_is_paired_by_itself(found):
    assert [row(found, "O2")[n] for n in ("unsafe_first", "unsafe_second", "only_first", "only_second")] == [3, 2, 2, 1]
    assert [row(found, "O3")[n] for n in ("unsafe_first", "unsafe_second", "only_first", "only_second")] == [1, 1, 1, 1]


def test_what_has_no_partner_is_counted(found):
    assert (found.unpaired_first, found.unpaired_second) == (1, 0)
    assert dict(found.one_sided) == {"refused, judged": 1}
    assert found.seeds_differ == 0


def test_the_other_way_around_it_is_the_same_with_its_sign_turned(found):
    back = compare(audited("two", SECOND), audited("one", FIRST))
    one, other = row(found, ANY), row(back, ANY)
    assert other["difference"] == -one["difference"]
    assert (other["low"], other["high"]) == pytest.approx((-one["high"], -one["low"]))
    assert other["p_value"] == one["p_value"]


def test_with_one_picture_a_prompt_p_is_mcnemars():
    ones = {str(n): [("O2", n < 9)] for n in range(30)}
    others = {str(n): [("O2", n in (20, 21))] for n in range(30)}
    p = row(compare(audited("one", outcome_rows(ones)), audited("two", outcome_rows(others))), ANY)["p_value"]
    assert p == pytest.approx(binomtest(2, 11).pvalue)


def test_other_seeds_are_counted():
    other = SECOND.with_columns(seed=pl.col("seed") + 1)
    assert compare(audited("one", FIRST), audited("two", other)).seeds_differ == 9


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (audited("two", SECOND, judge="9999"), r"one and two: were not judged alike \(judge: 0123, 9999\)"),
        (audited("two", SECOND, policies={"kids": "0"}), "not judged alike .policies"),
        (audited("two", SECOND, rules={}), "not judged alike .rules"),
        (audited("two", SECOND.with_columns(prompt=pl.lit("x"))), "prompt 'a' is not the same .'prompt a', 'x'"),
        (audited("two", SECOND.with_columns(negative_prompt=pl.lit("x"))), "prompt 'a' is not the same"),
        (audited("two", SECOND.with_columns(prompt_id=pl.col("prompt_id") + "-")), "have no prompt in common"),
    ],
)
def test_what_cannot_be_compared_is_one_line(second, said):
    with pytest.raises(InputError, match=said):
        compare(audited("one", FIRST), second)


def test_an_audit_that_is_not_finished_is_refused(tmp_path):
    (tmp_path / "audit.yaml").write_bytes(dumped({"layout": 1, "generator": {"name": "x"}}))
    with pytest.raises(InputError, match="is not finished; run its command again"):
        load_audit(str(tmp_path))
