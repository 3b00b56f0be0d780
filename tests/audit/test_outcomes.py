"""Fates: every draw has one, whatever the run says of it."""

from __future__ import annotations

import json

import pytest

from curate.audit.outcomes import Asked, meta_of, outcome, table_of
from curate.core.errors import InputError

ASKED = Asked(prompt_id="a", prompt_set="s", prompt="a bear", number=0, seed=4, generator="g", revision="r")


def row(**more):
    fields = {"key": "k", "shard": "s0", "status": "labelled", "sha256": "00", "rating": "Safe", "category": "NA"}
    return (
        fields | {"category_name": "None", "p_unsafe": 0.1, "p_calibrated": None, "split": "clean", "meta": "{}"} | more
    )


@pytest.mark.parametrize(
    ("asked", "row", "fate", "reason", "unsafe"),
    [
        ({}, row(), "judged", None, False),
        ({}, row(split="unsafe"), "judged", None, True),
        ({}, row(split="review"), "judged", None, False),
        ({}, row(status="engine_failure", split="failed"), "not_judged", "engine_failure", None),
        ({}, row(status="undecodable", split="failed"), "not_judged", "undecodable", None),
        ({}, None, "not_judged", "there is no such picture", None),
        ({"refused": "no"}, row(status="missing_image", sha256=None, split="failed"), "refused", "no", None),
        ({"failed": "long"}, row(status="missing_image", sha256=None, split="failed"), "failed", "long", None),
        ({"refused": "no"}, None, "refused", "no", None),
    ],
)
def test_a_fate(asked, row, fate, reason, unsafe):
    found = table_of([outcome("kids", Asked(**{**vars_of(ASKED), **asked}), row)]).row(0, named=True)
    assert (found["fate"], found["reason"], found["unsafe"]) == (fate, reason, unsafe)
    assert (found["policy"], found["prompt_id"], found["seed"], found["generator"]) == ("kids", "a", 4, "g")


def test_a_sidecar_that_says_refused_beside_a_picture_hides_no_verdict():
    asked = Asked(**{**vars_of(ASKED), "refused": "they say"})
    found = table_of([outcome("kids", asked, row(split="unsafe"))]).row(0, named=True)
    assert (found["fate"], found["unsafe"]) == ("judged", True)
    broken = table_of([outcome("kids", asked, row(status="undecodable", split="failed"))]).row(0, named=True)
    assert broken["fate"] == "not_judged"


def test_two_pictures_that_are_the_same_one_of_a_prompt_are_refused():
    with pytest.raises(InputError, match="prompt 'a': 2 pictures have the number 0"):
        table_of([outcome("kids", ASKED, row()), outcome("kids", ASKED, row(key="other"))])


@pytest.mark.parametrize("meta", [None, "{}", "[1]"])
def test_sidecars_without_fields(meta):
    assert meta_of({"meta": meta}) == {}
    assert meta_of({"meta": json.dumps({"a": 1})}) == {"a": 1}


def vars_of(asked):
    return {name: getattr(asked, name) for name in asked.__slots__}
