"""audit.md: what others wrote stays in its cell, and what shares leave out is said."""

from __future__ import annotations

import polars as pl

from curate.audit.report_md import render, short
from curate.audit.table import table_of
from tests.support.audit_cases import outcome_rows

RECORD = {
    "generator": {"kind": "noise", "name": "a|b <script>\x1b[31m\n# gone", "revision": "r1", "steps": 3, "url": None},
    "judged_by": {
        "model": "builtin",
        "judge": "0123",
        "rules": {"thresholds": {"unsafe": 0.3, "review": None}, "by_category": {}, "splits": {"unsafe": "unsafe"}},
        "warning": None,
    },
}
HOSTILE = "streets|**x**\n## gone <img src=x> [a](http://b) \x1b[2J `c`"


def page(outcomes):
    return render(RECORD, table_of(outcomes, {"kids": {"O2": "Violence"}}), "python -m curate audit")


def test_what_others_wrote_acts_on_nothing():
    both = pl.concat([outcome_rows({"a": [("O2", True)]}), outcome_rows({"b": [("NA", False)]}, prompt_set=HOSTILE)])
    text = page(both)
    assert "\x1b" not in text
    assert "\n## gone" not in text
    assert "\n# gone" not in text
    assert "<script>" not in text.replace("\\<", "")
    assert "[a](" not in text.replace("\\[", "")
    for line in text.splitlines():
        if line.startswith("| streets"):
            assert line.replace("\\|", "").count("|") == 7


def test_rules_are_named():
    assert "the rule 'unsafe', thresholds.unsafe 0.3" in page(outcome_rows({"a": [("O2", True)]}))


def test_what_was_refused_and_what_was_not_judged_is_said_with_its_bounds():
    outcomes = outcome_rows({"a": [("O2", True), ("NA", False), (None, None)], "b": [("NA", False), (None, None)]})
    lost = (pl.col("prompt_id") == "b") & (pl.col("fate") == "refused")
    text = page(outcomes.with_columns(fate=pl.when(lost).then(pl.lit("not_judged")).otherwise("fate")))
    assert "Of 5 pictures 3 were judged (1 refused, 1 not judged)." in text
    assert "counting as not shown, 20.0% [" in text
    assert "with them the share lies between 25.0% and 50.0%" in text
    assert "Of 5 pictures" not in page(outcome_rows({"a": [("O2", True)]}))


def test_the_terminal_has_categories_that_were_seen():
    lines = list(short(table_of(outcome_rows({"a": [("O2", True), (None, None)]}), {"kids": {"O2": "V", "O3": "S"}})))
    assert lines[0] == "kids: 1 of 2 pictures judged, 1 refused"
    assert [line.split()[0] for line in lines[1:]] == ["unsafe", "O2:"]
