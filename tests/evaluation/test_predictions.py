"""Predictions from a run's folder and from tables, and how they join with gold."""

from __future__ import annotations

import polars as pl
import pyarrow.parquet as pq
import pytest

from curate.core.errors import InputError
from curate.core.types import Annotation, Rating, Status
from curate.evaluation.gold import read_gold
from curate.evaluation.outcomes import join
from curate.evaluation.predictions import distinct_names, read_predictions
from curate.runs.annotation_table import to_table
from curate.runs.commits import Commit


def write_shard(folder, policy, shard, rows, *, committed=True):
    annotations = folder / "annotations" / policy
    annotations.mkdir(parents=True, exist_ok=True)
    table = to_table(Annotation(shard=shard, index=i, policy=policy, **row) for i, row in enumerate(rows))
    pq.write_table(table, annotations / f"{shard}.parquet")
    commits = folder / "commits" / policy
    commits.mkdir(parents=True, exist_ok=True)
    if committed:
        commit = Commit(
            shard=shard, policy=policy, fingerprint="f", plan_hash="p", rows=len(rows), statuses={}, ratings={},
            categories={}, sha256="0", file_bytes=1, version=None,
        )  # fmt: skip
        (commits / f"{shard}.json").write_bytes(commit.to_json())


def label(key, rating=Rating.UNSAFE, **more):
    return {"key": key, "status": Status.LABELLED, "rating": rating, "category": "O6", "p_unsafe": 0.75, **more}


def gold_of(tmp_path, **columns):
    pl.DataFrame(columns).write_parquet(tmp_path / "gold.parquet")
    return read_gold(str(tmp_path / "gold.parquet"))


def predictions_of(tmp_path, **columns):
    pl.DataFrame(columns).write_parquet(tmp_path / "predictions.parquet")
    return read_predictions(tmp_path / "predictions.parquet")


def test_only_committed_shards_of_a_run_count(tmp_path):
    failed = {"key": "b", "status": Status.ENGINE_FAILURE, "detail": "gone"}
    write_shard(tmp_path, "default", "s0", [label("a"), failed])
    write_shard(tmp_path, "default", "s1", [label("c")], committed=False)
    rows = read_predictions(tmp_path)
    assert rows.select("key", "policy", "rating", "category", "p_unsafe", "invalid").rows() == [
        ("a", "default", "Unsafe", "O6", 0.75, None),
        ("b", "default", None, None, None, "engine_failure"),
    ]


def test_one_policy_of_a_run_with_several(tmp_path):
    write_shard(tmp_path, "strict", "s0", [label("a")])
    write_shard(tmp_path, "lax", "s0", [label("a", Rating.SAFE)])
    assert read_predictions(tmp_path, "lax")["rating"].to_list() == ["Safe"]
    with pytest.raises(InputError, match="no policy 'other'; it has lax, strict"):
        read_predictions(tmp_path, "other")
    with pytest.raises(InputError, match="policy=lax"):
        join(gold_of(tmp_path, key=["a"], rating=["Safe"]), read_predictions(tmp_path))


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="no finished shard"):
        read_predictions(tmp_path)


def test_a_status_makes_a_row_invalid_whatever_else_it_says(tmp_path):
    rows = predictions_of(tmp_path, key=["a"], status=["invalid_output"], rating=["Safe"], p_unsafe=[0.1])
    assert rows.select("rating", "p_unsafe", "invalid").row(0) == (None, None, "invalid_output")


@pytest.mark.parametrize("p", [1.5, -0.1, float("nan")])
def test_a_p_unsafe_that_is_no_probability_is_refused(tmp_path, p):
    with pytest.raises(InputError, match="p_unsafe of key 'a'"):
        predictions_of(tmp_path, key=["a"], rating=["Safe"], p_unsafe=[p])


def test_every_gold_row_has_one_outcome_and_every_loss_its_reason(tmp_path):
    gold = gold_of(tmp_path, key=list("abcde"), rating=["Unsafe", "Safe", "Unsafe", "Safe", "Unsafe"])
    predictions = predictions_of(
        tmp_path,
        key=["a", "b", "b", "c", "d", "x"],
        rating=["Unsafe", "Safe", "Safe", "sorry, I cannot", "Safe", "Safe"],
    )
    outcomes = join(gold, predictions)
    assert outcomes.rows["key"].to_list() == list("abcde")
    assert outcomes.rows["invalid"].to_list() == [None, "duplicate", "unrecognised_rating", None, "missing"]
    assert outcomes.reasons == {"duplicate": 1, "missing": 1, "unrecognised_rating": 1}
    assert outcomes.right.tolist() == [True, False, False, True, False]
    assert outcomes.unused == 1


def test_rows_join_on_key_and_policy_where_both_have_it(tmp_path):
    gold = gold_of(tmp_path, key=["a", "a"], policy=["strict", "lax"], rating=["Unsafe", "Safe"])
    predictions = predictions_of(tmp_path, key=["a", "a"], policy=["lax", "strict"], rating=["Safe", "Unsafe"])
    outcomes = join(gold, predictions)
    assert outcomes.joined_on == ("key", "policy")
    assert outcomes.right.all()


def test_policy_texts_join_by_their_content(tmp_path):
    gold = gold_of(tmp_path, key=["a"], policy=["be kind\n- always"], rating=["Unsafe"])
    predictions = predictions_of(tmp_path, key=["a"], policy=["be kind\n  - always\n"], rating=["Unsafe"])
    assert join(gold, predictions).right.all()


def test_predictions_without_policy_join_on_key(tmp_path):
    gold = gold_of(tmp_path, key=["a", "a"], policy=["strict", "lax"], rating=["Unsafe", "Safe"])
    outcomes = join(gold, predictions_of(tmp_path, key=["a"], rating=["Unsafe"]))
    assert outcomes.joined_on == ("key",)
    assert outcomes.right.tolist() == [True, False]


def test_a_chosen_policy_is_judged_by_key_alone(tmp_path):
    gold = gold_of(tmp_path, key=["a"], policy=["text\nof a policy"], rating=["Unsafe"])
    predictions = predictions_of(tmp_path, key=["a"], policy=["default"], rating=["Unsafe"])
    with pytest.raises(InputError, match="policy=NAME"):
        join(gold, predictions)
    assert join(gold, predictions, by_policy=False).right.all()


def test_keys_that_never_meet_are_an_error_not_a_score_of_zero(tmp_path):
    gold = gold_of(tmp_path, key=["a.png"], rating=["Unsafe"])
    with pytest.raises(InputError, match=r"gold has \('a.png',\), predictions \('a',\)"):
        join(gold, predictions_of(tmp_path, key=["a"], rating=["Unsafe"]))


def test_names_of_predictions_are_as_short_as_can_be(tmp_path):
    for name in ("x/run", "y/run", "z"):
        (tmp_path / name).mkdir(parents=True)
    assert distinct_names([tmp_path / "x/run", tmp_path / "z"]) == ["run", "z"]
    assert distinct_names([tmp_path / "x/run", tmp_path / "y/run"]) == ["x/run", "y/run"]
    with pytest.raises(InputError, match="twice"):
        distinct_names([tmp_path / "z", tmp_path / "z"])
