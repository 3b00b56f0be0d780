"""A person's verdict stands above the safeguard's, and above nothing that a law holds."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.calibration import Calibration
from curate.core.errors import InputError
from curate.core.types import Annotation, Rating, Status
from curate.filtering.decide import decide
from curate.filtering.overrides import SCHEMA, check_overrides, keep_overrides, kept_overrides, merged
from curate.filtering.rules import compile_rules
from curate.runs.annotation_table import to_table
from curate.settings.filter import FilterSettings
from curate.storage.local_store import LocalStore
from tests.support.filtering_cases import DEFAULT_RULES

RATINGS = st.sampled_from(list(Rating))


def row(index, **values):
    values.setdefault("status", Status.LABELLED)
    values.setdefault("sha256", f"picture {index}")
    return Annotation(key=f"k{index}", shard="s", index=index, policy=values.pop("policy", "house"), **values)


def said(rating, sha256="picture 0", policy="house", **more):
    return {"sha256": sha256, "policy": policy, "rating": Rating(rating).value, **more}


def overrides(*rows):
    return pl.DataFrame(list(rows), schema=SCHEMA)


def decided(rows, verdicts, **options):
    chosen = FilterSettings(**({"splits": DEFAULT_RULES} | options))
    rules = compile_rules(chosen, ["O1", "O2"]).with_overrides(verdicts)
    by_policy = {}
    for one in rows:
        by_policy.setdefault(one.policy, []).append(one)
    frames = {name: pl.DataFrame(to_table(of)).lazy() for name, of in by_policy.items()}
    return decide(frames, rules, chosen).collect(engine="streaming")


SAFE = {"rating": Rating.SAFE, "category": "NA", "p_unsafe": 0.25}
UNSAFE = {"rating": Rating.UNSAFE, "category": "O1", "p_unsafe": 0.75}


def test_a_verdict_decides_and_what_was_judged_is_shown():
    rows = [row(0, **SAFE), row(1, **UNSAFE), row(2, **SAFE)]
    found = decided(rows, overrides(said("Unsafe"), said("Safe", "picture 1")))
    assert found["split"].to_list() == ["unsafe", "clean", "clean"]
    assert found["rating"].to_list() == ["Safe", "Unsafe", "Safe"]
    assert found["p_unsafe"].to_list() == [0.25, 0.75, 0.25]
    assert found["reason"].to_list() == [
        "a person said Unsafe: rule unsafe", "a person said Safe: rule clean", "rule clean"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "thresholds", [{"unsafe": 0.9, "review": 0.1}, {"unsafe": 1.0}, {"unsafe": 0.0}, {"review": 0.0}]
)
def test_it_stands_above_thresholds_calibration_and_scores(thresholds):
    by_category = {"O1": {"unsafe": 0.3}}
    turned = Calibration(method="isotonic", fitted_on=10, x=(0.0, 1.0), y=(0.5, 0.5))
    scored = {**UNSAFE, "category_scores": {"O1": 0.75}}
    rows = [row(0, **scored), row(1, **SAFE), row(2, **scored, policy="other", sha256="picture 0")]
    verdicts = overrides(said("Safe"), said("Unsafe", "picture 1"))
    for calibration in (None, turned):
        options = {"thresholds": thresholds, "by_category": by_category, "calibration": calibration}
        assert decided(rows[:2], verdicts, **options)["split"].to_list() == ["clean", "unsafe"]
        assert decided([rows[2]], verdicts, **options)["split"].to_list() == ["unsafe"], "of another policy"


def test_without_a_policy_it_holds_under_any_and_one_of_the_policy_stands_above_it():
    rows = [row(0, **UNSAFE), row(1, **UNSAFE)]
    verdicts = overrides(said("Safe", policy=None), said("Unsafe", policy="house"), said("Safe", "picture 1", None))
    assert decided(rows, verdicts)["split"].to_list() == ["unsafe", "clean"]


def test_what_was_not_judged_stays_failed_and_what_was_judged_in_part_is_not_clean():
    rows = [row(0, status=Status.UNDECODABLE), row(1, **SAFE, detail="1 of 2 frames not judged")]
    found = decided(rows, overrides(said("Safe"), said("Safe", "picture 1")))
    assert found["split"].to_list() == ["failed", "review"]
    assert found["reason"][0] == "not judged: undecodable"


@given(st.lists(st.tuples(RATINGS, st.floats(0, 1, width=32), st.none() | RATINGS), min_size=1, max_size=20))
@settings(max_examples=40, deadline=None)
def test_rows_keep_their_order_and_all_others_their_fate(drawn):
    rows = [row(n, rating=rating, category="O1", p_unsafe=p) for n, (rating, p, _) in enumerate(drawn)]
    verdicts = [said(verdict, f"picture {n}") for n, (_, _, verdict) in enumerate(drawn) if verdict]
    options = {"thresholds": {"unsafe": 0.5, "review": 0.2}}
    plain = decided(rows, None, **options)
    found = decided(rows, overrides(*verdicts), **options)
    assert found["index"].to_list() == list(range(len(rows)))
    for n, (_, _, verdict) in enumerate(drawn):
        split = {None: plain["split"][n], Rating.SAFE: "clean", Rating.UNSAFE: "unsafe"}[verdict]
        assert found["split"][n] == split


def test_where_two_disagree_unsafe_stands_whoever_came_first():
    for order in ((0, 1), (1, 0)):
        tables = [overrides(said("Safe", time="2")), overrides(said("Unsafe", time="1"))]
        assert merged([tables[n] for n in order])["rating"].to_list() == ["Unsafe"]


def test_a_rule_set_keeps_its_overrides_whatever_becomes_of_the_file(tmp_path):
    store = LocalStore(tmp_path / "run")
    file = tmp_path / "verdicts.csv"
    file.write_text("sha256,rating\nab,Unsafe\n")
    settings_given = FilterSettings(overrides=str(file))
    kept = keep_overrides(store, settings_given)
    file.write_text("sha256,rating\nab,Safe\n")
    assert kept_overrides(store, kept)["rating"].to_list() == ["Unsafe"]
    assert keep_overrides(store, kept) == kept
    assert keep_overrides(store, settings_given) != kept, "given again, the file is read again"
    assert keep_overrides(store, FilterSettings()) == FilterSettings()


@pytest.mark.parametrize(
    ("text", "name", "said_of_it"),
    [
        ("sha256,rating\nab,unsafe\n", "v.csv", "'unsafe' is no rating; write Safe or Unsafe"),
        ("sha256,rating\nab,\n", "v.csv", "None is no rating"),
        ("key,rating\na,Safe\n", "v.csv", "has no column 'sha256'"),
        ("", "v.csv", "cannot be read"),
        ("x", "v.parquet", "cannot be read"),
        ("x", "v.txt", "is no run's folder and no .parquet or .csv file"),
    ],
)
def test_what_is_none_is_named(tmp_path, text, name, said_of_it):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=rf"^filter\.overrides: .*{said_of_it}"):
        check_overrides(FilterSettings(overrides=(str(tmp_path / name),)))


def test_a_run_in_which_nothing_was_reviewed_has_none(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match=r"nothing was reviewed in .*; `review import` comes first"):
        check_overrides(FilterSettings(overrides=(str(tmp_path / "run"),)))
