"""Rules, thresholds, combination and subdivision on rows alone."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.calibration import Calibration
from curate.core.errors import InputError
from curate.core.types import Annotation, Rating, Status
from curate.filtering import conditions
from curate.filtering.decide import decide
from curate.filtering.rules import compile_rules
from curate.filtering.subdivide import part_of
from curate.runs.annotation_table import to_table
from curate.settings.filter import FilterSettings
from tests.support.filtering_cases import DEFAULT_RULES

CODES = ("O1", "O2", "O3")


def row(index: int = 0, policy: str = "house", **values: object) -> Annotation:
    rating = values.setdefault("rating", Rating.SAFE)
    values.setdefault("category", "O1" if rating is Rating.UNSAFE else "NA")
    values.setdefault("status", Status.LABELLED)
    return Annotation(key=f"k{index}", shard="s", index=index, policy=policy, **values)


def failed(index: int = 0, policy: str = "house", status: Status = Status.UNDECODABLE) -> Annotation:
    return Annotation(key=f"k{index}", shard="s", index=index, policy=policy, status=status)


def scan(rows: list[Annotation]) -> pl.LazyFrame:
    return pl.DataFrame(to_table(rows)).lazy()


def decided(rows: list[Annotation] | dict[str, list[Annotation]], **options: object) -> pl.DataFrame:
    by_policy = rows if isinstance(rows, dict) else {"house": rows}
    chosen = FilterSettings(**({"splits": DEFAULT_RULES} | options))
    rules = compile_rules(chosen, CODES)
    frames = {name: scan(rows) for name, rows in by_policy.items()}
    return decide(frames, rules, chosen).collect(engine="streaming")


def splits(rows: list[Annotation] | dict[str, list[Annotation]], **options: object) -> list[str]:
    return decided(rows, **options)["split"].to_list()


def test_the_models_own_rating_decides_without_thresholds():
    rows = [row(0, p_unsafe=0.9), row(1, rating=Rating.UNSAFE, p_unsafe=0.1), row(2), failed(3)]
    assert splits(rows) == ["clean", "unsafe", "clean", "failed"]


def test_a_threshold_replaces_the_rating_and_review_is_a_half_open_band():
    rows = [row(n, p_unsafe=p, rating=Rating.UNSAFE) for n, p in enumerate([0.0, 0.29, 0.3, 0.69, 0.7, 1.0])]
    found = splits(rows, thresholds={"unsafe": 0.7, "review": 0.3})
    assert found == ["clean", "clean", "review", "review", "unsafe", "unsafe"]


def test_review_without_an_unsafe_threshold_keeps_the_rating():
    rows = [row(0, p_unsafe=0.45), row(1, p_unsafe=0.2), row(2, rating=Rating.UNSAFE, p_unsafe=0.45)]
    assert splits(rows, thresholds={"review": 0.4}) == ["review", "clean", "unsafe"]


def test_categories_have_thresholds_of_their_own():
    rows = [row(n, rating=Rating.UNSAFE, category=c, p_unsafe=0.6) for n, c in enumerate(["O1", "O2", "O3", "NA"])]
    by_category = {"O1": {"unsafe": 0.9}, "O2": {"unsafe": 0.9, "review": 0.5}}
    assert splits(rows, by_category=by_category) == ["clean", "review", "unsafe", "unsafe"]
    found = splits(rows, thresholds={"unsafe": 0.7, "review": 0.65}, by_category={"O3": {"unsafe": 0.6, "review": 0.2}})
    assert found == ["clean", "clean", "unsafe", "clean"]


SCORES = {"O1": 0.05, "O2": 0.25, "O3": 0.0}


def test_a_categorys_score_is_held_against_its_own_threshold_whatever_the_answer_names():
    rows = [
        row(0, p_unsafe=0.3, category_scores=SCORES),
        row(1, p_unsafe=0.3),
        row(2, rating=Rating.UNSAFE, category="O1", p_unsafe=0.6, category_scores=SCORES | {"O1": 0.35}),
        row(3, p_unsafe=0.3, category_scores={}),
    ]
    low = {"O2": {"unsafe": 0.2}}
    assert splits(rows, by_category=low) == ["unsafe", "clean", "unsafe", "clean"]
    assert splits(rows, by_category={"O2": {"unsafe": 0.3}}) == ["clean", "clean", "unsafe", "clean"]
    assert splits(rows, by_category={"O2": {"review": 0.2}}) == ["review", "clean", "unsafe", "clean"]
    lax = {"O1": {"unsafe": 0.9}}
    assert splits(rows, by_category=lax) == ["clean", "clean", "clean", "clean"], "a row that names it goes by its own"
    assert splits(rows, by_category=low | lax) == ["unsafe", "clean", "unsafe", "clean"]


def test_a_score_is_compared_in_float32_and_calibrated_in_proportion():
    rows = [row(0, p_unsafe=0.8, category_scores={"O2": 0.7}), row(1, p_unsafe=0.0, category_scores={"O2": 0.0})]
    assert splits(rows, by_category={"O2": {"unsafe": 0.7}}) == ["unsafe", "clean"]
    halved = Calibration(method="isotonic", fitted_on=10, x=(0.0, 0.8, 1.0), y=(0.2, 0.4, 1.0))
    found = {cut: splits(rows, by_category={"O2": {"unsafe": cut}}, calibration=halved) for cut in (0.2, 0.34, 0.36)}
    assert found == {0.2: ["unsafe", "unsafe"], 0.34: ["unsafe", "clean"], 0.36: ["clean", "clean"]}


cuts = st.one_of(st.none(), st.floats(min_value=0, max_value=1, width=32))


@pytest.mark.slow
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_scores_can_only_make_a_rows_fate_stricter(data: st.DataObject):
    codes = data.draw(st.lists(st.sampled_from(CODES), min_size=1, unique=True))
    by_category = {c: {"unsafe": data.draw(cuts)} for c in codes}
    p = data.draw(st.floats(min_value=0, max_value=1, width=32))
    rating = data.draw(st.sampled_from(list(Rating)))
    given_scores = {c: p * data.draw(st.floats(min_value=0, max_value=1)) for c in CODES}
    one = row(0, p_unsafe=p, rating=rating, category=data.draw(st.sampled_from(CODES)))
    (without,) = splits([one], by_category=by_category)
    (with_scores,) = splits([replace(one, category_scores=given_scores)], by_category=by_category)
    reached = any(
        cut["unsafe"] is not None and np.float32(given_scores[c]) >= np.float32(cut["unsafe"])
        for c, cut in by_category.items()
    )
    assert with_scores == ("unsafe" if reached else without)


@pytest.mark.parametrize("p", [None, float("nan")])
def test_no_score_under_a_threshold_is_never_clean(p: float | None):
    rows = [row(0, p_unsafe=p)]
    for thresholds in ({"unsafe": 0.5}, {"review": 0.5}, {"unsafe": 1.0, "review": 0.0}):
        for rules in (
            DEFAULT_RULES,
            {"clean": "true"},
            {"clean": "unscored"},
            {"clean": "NOT unsafe OR unsafe IS NULL"},
        ):
            assert splits(rows, thresholds=thresholds, splits=rules) == ["review"]
    by_category = {"NA": {"unsafe": 0.5}}
    assert splits(rows, by_category=by_category, splits={"clean": "true"}) == ["review"]


@pytest.mark.parametrize(
    "condition", ["true", "status = 'labelled' OR true", "rating IS NULL", "p_unsafe IS NULL", "1 = 1"]
)
@pytest.mark.parametrize("status", [s for s in Status if s is not Status.LABELLED])
def test_no_rule_makes_an_unjudged_row_clean(condition: str, status: Status):
    with_rating = Annotation(key="k", shard="s", index=1, policy="house", status=status, rating=Rating.SAFE)
    assert splits([failed(0, status=status), with_rating], splits={"clean": condition}) == ["failed", "failed"]


def test_labelled_without_a_rating_is_not_judged():
    assert splits([row(0, rating=None)], splits={"clean": "true"}) == ["failed"]


def test_first_rule_wins_and_what_matches_none_is_reviewed():
    rules = {"wide": "width > 100", "clean": "rating = 'Safe' AND width > 50"}
    rows = [row(0, width=200), row(1, width=60), row(2, width=10), row(3)]
    found = decided(rows, splits=rules)
    assert found["split"].to_list() == ["wide", "clean", "review", "review"]
    assert found["reason"].to_list() == ["rule wide", "rule clean", "no rule holds", "no rule holds"]


def test_sidecar_fields_are_read_with_their_declared_type():
    metas = [
        {"score": 0.5, "size": 640, "nsfw": True, "tag it's": "a"},
        {"score": "0.5", "size": "640", "nsfw": "False", "tag it's": "b"},
        {"score": None, "size": 640.0, "nsfw": None},
        {"score": "much", "size": "many", "nsfw": 3, "tag it's": 5},
        {},
    ]
    rows = [row(n, meta=json.dumps(meta)) for n, meta in enumerate(metas)]
    fields = {"score": "float", "size": "int", "nsfw": "bool", "tag it's": "string"}

    def hits(condition: str) -> list[int]:
        found = splits(rows, fields=fields, splits={"hit": condition, "clean": "true"})
        return [n for n, split in enumerate(found) if split == "hit"]

    assert hits("score >= 0.5") == [0, 1]
    assert hits("size = 640") == [0, 1, 2]
    assert hits("nsfw") == [0]
    assert hits("NOT nsfw") == [1]
    assert hits("\"tag it's\" IN ('a', '5')") == [0, 3]


def test_the_strictest_policy_decides():
    house = [row(0), row(1), row(2, p_unsafe=0.4), row(3), failed(4), row(5, rating=Rating.UNSAFE)]
    kids = [
        row(0, "kids"),
        row(1, "kids", rating=Rating.UNSAFE, category="O2"),
        row(2, "kids", p_unsafe=0.1),
        failed(3, "kids"),
        row(4, "kids", rating=Rating.UNSAFE),
        row(5, "kids", rating=Rating.UNSAFE, category="O3"),
    ]
    found = decided({"house": house, "kids": kids}, thresholds={"review": 0.3}, splits=DEFAULT_RULES)
    assert found["index"].to_list() == [0, 1, 2, 3, 4, 5]
    # Row 0 has no p_unsafe under a review threshold; the rating of row 1 needs none.
    assert found["split"].to_list() == ["review", "unsafe", "review", "failed", "failed", "unsafe"]
    assert found["policy"].to_list() == ["house", "kids", "house", "kids", "house", "house"]
    assert found["category"].to_list()[1] == "O2"


def test_a_sample_one_policy_has_no_row_for_is_failed():
    house, kids = [row(0), row(1), row(2)], [row(1, "kids")]
    found = decided({"house": house, "kids": kids})
    assert found["split"].to_list() == ["failed", "clean", "failed"]
    assert set(found["reason"]) == {"not judged under every policy", "rule clean"}


def test_any_other_split_is_stricter_than_clean():
    rules = {"unsafe": "unsafe", "tiny": "rating = 'Safe' AND policy = 'kids'", "clean": "NOT unsafe"}
    assert splits({"house": [row(0)], "kids": [row(0, "kids")]}, splits=rules) == ["tiny"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"splits": {"clean": "punsafe < 0.5"}}, "no column 'punsafe'"),
        ({"splits": {"clean": 'rating = "Safe"'}}, "no column 'Safe'"),
        ({"splits": {"clean": "rating = 'Safe' AND"}}, "filter.splits.clean: cannot use"),
        ({"splits": {"clean": "width > 'a'"}}, "cannot use"),
        ({"splits": {"clean": "p_unsafe"}}, "not a condition"),
        ({"splits": {"clean": "p_unsafe < AVG(p_unsafe)"}}, "function AVG is not allowed"),
        ({"splits": {"clean": "ROW_NUMBER() OVER (ORDER BY width) < 5"}}, "function ROW_NUMBER is not allowed"),
        ({"splits": {"clean": "width > (SELECT 1)"}}, "holds a query"),
        ({"splits": {"clean": "p_unsafe < AVG/**/(p_unsafe)"}}, "holds a comment"),
        ({"splits": {"clean": "p_unsafe < AVG--\n(p_unsafe)"}}, "holds a comment"),
        ({"splits": {"clean": "NOW/* */() > '2026-01-01'"}}, "holds a comment"),
        (
            {"splits": {"clean": "p_unsafe < AVG\n(p_unsafe)"}},
            "AVG is not allowed in `p_unsafe < AVG (p_unsafe)`",
        ),
        ({"splits": {"clean": "p_unsafe < `AVG`(p_unsafe)"}}, "holds what a condition may not (Agg, Mean)"),
        ({"splits": {"clean": "p_unsafe < `MEDIAN` (p_unsafe)"}}, "holds what a condition may not (Agg, Median)"),
        ({"splits": {}}, "filter.splits: empty"),
        ({"splits": {"failed": "width < 3"}}, "filter.splits.failed"),
        ({"splits": {"annotations": "true"}}, "not a usable name"),
        ({"splits": {"../x": "true"}}, "not a usable name"),
        ({"splits": {"broken": "status <> 'labelled'", "clean": "true"}}, "filter.splits.broken: can hold no row"),
        ({"splits": {"clean": "1 > 2"}}, "can hold no row"),
        ({"splits": {"clean": "true", "unsafe": "unsafe"}}, "filter.splits.unsafe: can hold no row, clean before it"),
        ({"fields": {"width": "int"}}, "filter.fields.width: is a column already"),
        ({"by_category": {"O9": {"unsafe": 0.5}}}, "filter.by_category.O9: no policy of this run has it"),
        ({"thresholds": {"unsafe": 0.3, "review": 0.3}}, "holds nothing"),
        (
            {"thresholds": {"unsafe": 0.3}, "by_category": {"O1": {"review": 0.4}}},
            "filter.by_category.O1: review is 0.4",
        ),
    ],
)
def test_wrong_rules_are_refused_in_one_line(options: dict, message: str):
    with pytest.raises(InputError) as error:
        compile_rules(FilterSettings(**({"splits": DEFAULT_RULES} | options)), CODES)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_was_judged_in_part_is_not_clean():
    part = {"detail": "only its first frame was judged"}
    rows = [row(0, **part), row(1), row(2, rating=Rating.UNSAFE, **part), row(3, "house", p_unsafe=0.1, **part)]
    found = decided(rows)
    assert found["split"].to_list() == ["review", "clean", "unsafe", "review"]
    assert found["reason"].to_list()[0] == "not all of it was judged"
    assert splits(rows, splits={"own": "rating = 'Safe'", "clean": "true"}) == ["own", "own", "review", "own"]


def test_one_picture_judged_in_part_keeps_a_sample_out_of_clean_under_every_policy():
    part = {"detail": "only its first frame was judged"}
    assert splits({"house": [row(0, **part)], "kids": [row(0, "kids")]}) == ["review"]


@pytest.mark.parametrize("function", ["MIN", "MAX", "SUM", "COUNT", "FIRST", "LAST", "STDDEV", "VARIANCE", "UNNEST"])
def test_what_is_written_so_that_no_name_is_seen_is_seen_in_the_expression(monkeypatch, function):
    monkeypatch.setattr(conditions, "ROW_FUNCTIONS", conditions.ROW_FUNCTIONS | {function})
    with pytest.raises(InputError, match="holds what a condition may not"):
        conditions.parse_condition(f"{function}(p_unsafe) > 0.5", pl.Schema({"p_unsafe": pl.Float32}), "here")


def test_every_function_that_may_be_called_is_known_as_an_expression():
    samples = " ".join(conditions._SAMPLES)
    assert [name for name in sorted(conditions.ROW_FUNCTIONS) if f"{name}(" not in samples] == []
    schema = pl.Schema({"x": pl.Float64, "y": pl.Float64, "s": pl.String, "t": pl.String, "b": pl.Boolean})
    for sample in conditions._SAMPLES:
        conditions.parse_condition(sample, schema, "here")


def test_functions_in_text_are_text():
    assert splits([row(0, rationale="AVG(x) select")], splits={"clean": "rationale = 'AVG(x) select'"}) == ["clean"]


SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


@settings(max_examples=15)
@given(st.lists(st.text(), max_size=30), st.lists(st.text(), max_size=30), st.integers(0, 5))
@pytest.mark.slow
def test_rows_that_are_added_move_nobody_and_equal_keys_stay_together(keys: list[str], more: list[str], seed: int):
    def parts(keys: list[str]) -> list[str]:
        rows = [
            Annotation(key=k, shard="s", index=n, policy="p", status=Status.LABELLED, rating=Rating.SAFE)
            for n, k in enumerate(keys)
        ]
        return decided({"p": rows}, subdivide=SHARES, seed=seed)["part"].to_list()

    alone, together = parts(keys), parts(keys + more)
    assert together[: len(keys)] == alone
    assert len({(key, part) for key, part in zip(keys + more, together, strict=True)}) == len(set(keys + more))


def test_shares_are_met_and_depend_on_the_seed():
    drawn = [part_of(f"{n:09d}", SHARES, 0) for n in range(5000)]
    assert abs(drawn.count("train") / 5000 - 0.8) < 0.03
    assert abs(drawn.count("test") / 5000 - 0.1) < 0.03
    assert drawn != [part_of(f"{n:09d}", SHARES, 1) for n in range(5000)]


def test_a_keys_part_is_the_same_in_every_version():
    """Another hash would silently move rows between train and test."""
    assert [part_of(key, {"a": 0.25, "b": 0.25, "c": 0.5}, 7) for key in ("", "x", "000000000", "\u00e9")] == [
        "c",
        "b",
        "c",
        "a",
    ]
