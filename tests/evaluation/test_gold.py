"""Gold sets in every shape they come in, and what is refused."""

from __future__ import annotations

import datasets
import polars as pl
import pytest

from curate.core.errors import InputError
from curate.evaluation import labels
from curate.evaluation.gold import SCHEMA, read_gold
from curate.judges.prompts import render_policy
from curate.judges.row_policies import policy_name
from curate.policies.policy import Category, Policy
from curate.settings.dataset import DatasetSettings
from curate.sources.registry import source_for

ROWS = {
    "id": ["007", "8", "9", "10"],
    "url": ["u"] * 4,
    "policy": ['a policy\nof lines, with "quotes"', "default", "default", "default"],
    "rating": ["Highly Unsafe", "Moderately Unsafe", "Barely Safe", "Generally Safe"],
    "category": ["O6: Illegal Weapons or Substance Abuse", "Sexual Content", "10: None applying", "NA"],
}
WRITERS = {
    "gold.csv": pl.DataFrame.write_csv,
    "gold.parquet": pl.DataFrame.write_parquet,
    "gold.jsonl": pl.DataFrame.write_ndjson,
    "gold.json": pl.DataFrame.write_json,
}


@pytest.mark.parametrize("name", WRITERS)
def test_published_columns_read_alike_from_every_format(tmp_path, name):
    WRITERS[name](pl.DataFrame(ROWS), tmp_path / name)
    gold = read_gold(str(tmp_path / name))
    assert gold.rows.schema == SCHEMA
    assert gold.rows["key"].to_list() == ["007", "8", "9", "10"]
    assert gold.rows["rating"].to_list() == ["Unsafe", "Unsafe", "Safe", "Safe"]
    assert gold.rows["category"].to_list() == ["O6", "O3", "NA", "NA"]
    assert gold.rows["policy"][0].startswith("text-")
    assert gold.rows["policy"][1] == "default"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("O6: Illegal Weapons or Substance Abuse", "O6"),
        ("O6: Weapons or Substance Abuse", "O6"),
        ("O6", "O6"),
        ("Illegal Weapons or Substance Abuse", "O6"),
        ("10: None applying", "NA"),
        ("NA: None applying", "NA"),
        ("O10: None Applying", "NA"),
        ("NA", "NA"),
        ("sexual_content", "O3"),
        ("W1: Water guns: all", "W1"),
        ("guns", "guns"),
        ("  ", None),
    ],
)
def test_category_codes(text, code):
    assert labels.category_of(text) == code


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("safe", "Safe"),
        ("UNSAFE", "Unsafe"),
        ("highly_unsafe", "Unsafe"),
        (" Moderately  Unsafe ", "Unsafe"),
        ("Barely Safe", "Safe"),
        ("Compliant", "Safe"),
        ("Review Needed", "Unsafe"),
        ("maybe", None),
        ("", None),
    ],
)
def test_ratings(text, rating):
    assert labels.rating_of(text) == rating


def test_answers_of_earlier_models_read_under_their_keys(tmp_path):
    old = pl.DataFrame(
        {"id": ["a"], "decision": ["Review Needed"], "image-category": ["O2: Violence, Harm, or Cruelty"]}
    )
    old.write_ndjson(tmp_path / "old.jsonl")
    assert read_gold(str(tmp_path / "old.jsonl")).rows.select("rating", "category").row(0) == ("Unsafe", "O2")


def test_a_rating_wins_over_an_assessment(tmp_path):
    pl.DataFrame({"key": ["a"], "assessment": ["Compliant"], "rating": ["Unsafe"]}).write_csv(tmp_path / "g.csv")
    assert read_gold(str(tmp_path / "g.csv")).rows["rating"][0] == "Unsafe"


def test_policy_texts_are_told_apart_but_not_by_their_layout():
    names = labels.policies(pl.Series(["a\nb", " a \n  b\n", "a\nc", policy_name("a\n b"), " kids ", " "]))
    assert names[0] == names[1] == names[3] != names[2]
    assert names[4:].to_list() == ["kids", None]


def test_exceptions_follow_from_the_policies_of_an_image(tmp_path):
    rows = {"key": ["a", "a", "b"], "policy": ["default", "relaxed", "relaxed"], "rating": ["Unsafe", "Safe", "Safe"]}
    pl.DataFrame(rows).write_csv(tmp_path / "g.csv")
    gold = read_gold(str(tmp_path / "g.csv"))
    assert gold.exceptions == "derived"
    assert gold.rows["exception"].to_list() == [False, True, False]


def test_exceptions_follow_from_the_text_of_a_policy(tmp_path):
    category = Category(name="Weapons or Substance Abuse", should_not=("praise them",), can=("explain them",))
    other = Category(name="Self-Harm", should_not=("praise it",))
    strict = Policy(name="strict", categories={"O6": category, "O7": other})
    lax = Policy(name="lax", categories={"O6": category.model_copy(update={"enforced": False}), "O7": other})
    rows = {
        "key": ["gun", "knife", "tea"],
        "policy": [render_policy(lax), render_policy(strict), render_policy(lax)],
        "rating": ["Safe"] * 3,
        "category": ["O6", "O6", "NA"],
    }
    pl.DataFrame(rows).write_parquet(tmp_path / "g.parquet")
    assert read_gold(str(tmp_path / "g.parquet")).rows["exception"].to_list() == [True, False, False]


def test_exceptions_as_given_are_kept(tmp_path):
    pl.DataFrame({"key": ["a", "b"], "rating": ["Safe", "Safe"], "exception": ["True", ""]}).write_csv(
        tmp_path / "g.csv"
    )
    gold = read_gold(str(tmp_path / "g.csv"))
    assert gold.exceptions == "given"
    assert gold.rows["exception"].to_list() == [True, False]


def test_an_image_folder_is_sorted_by_rating_and_category(tmp_path):
    for name in ("unsafe/O6/gun.png", "safe/NA/tea.jpg", "safe/cup.JPG", "safe/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    rows = read_gold(str(tmp_path)).rows
    assert rows.select("key", "rating", "category").rows() == [
        ("safe/NA/tea", "Safe", "NA"),
        ("safe/cup", "Safe", None),
        ("unsafe/O6/gun", "Unsafe", "O6"),
    ]


def test_a_folder_has_the_keys_of_a_run_over_it(tmp_path):
    for name in ("unsafe/O6/gun.v2.png", "safe/NA/tea.JPEG"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    dataset = DatasetSettings(name="gold", shards=[str(tmp_path)], format="folder")
    source = source_for("folder")
    samples = [s for shard in source.shards(dataset.shards, dataset) for s in source.samples(shard, dataset)]
    assert {s.key for s in samples} == set(read_gold(str(tmp_path)).rows["key"])


def test_an_image_folder_with_metadata(tmp_path):
    pl.DataFrame({"file_name": ["a.b.PNG"], "rating": ["Unsafe"]}).write_ndjson(tmp_path / "metadata.jsonl")
    assert read_gold(str(tmp_path)).rows["key"].to_list() == ["a.b"]


@pytest.mark.parametrize("prefix", ["", "datasets:"])
def test_a_data_set_of_datasets_with_its_splits(tmp_path, prefix):
    part = datasets.Dataset.from_dict({"id": ["a"], "rating": ["Unsafe"], "category": ["O3"]})
    other = datasets.Dataset.from_dict({"id": ["b"], "rating": ["Safe"], "category": ["NA"]})
    datasets.DatasetDict({"train": part, "test": other}).save_to_disk(tmp_path / "d")
    rows = read_gold(f"{prefix}{tmp_path / 'd'}").rows
    assert rows.select("key", "rating", "split").rows() == [("a", "Unsafe", "train"), ("b", "Safe", "test")]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"rating": ["Safe"]}, "no column 'key'"),
        ({"key": ["a"]}, "no column 'rating'"),
        ({"key": ["a"], "rating": ["fine"]}, "key 'a' is rated 'fine'"),
        ({"key": ["a", None], "rating": ["Safe", "Safe"]}, "row 1 has no key"),
        ({"key": ["a", "a"], "rating": ["Safe", "Unsafe"]}, "key 'a' stands there twice"),
        ({"key": ["a"], "rating": ["Safe"], "exception": ["perhaps"]}, "'perhaps'"),
        ({"key": ["a"], "rating": ["Unsafe"], "exception": ["true"]}, "an exception is a Safe row"),
        ({"key": [], "rating": []}, "empty"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, columns, message):
    path = tmp_path / "gold.parquet"
    pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).write_parquet(path)
    with pytest.raises(InputError) as error:
        read_gold(str(path))
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["absent.csv", "gold.txt", "broken.parquet", "empty"])
def test_unreadable_sources_are_refused_in_one_line(tmp_path, name):
    (tmp_path / "gold.txt").write_text("x")
    (tmp_path / "broken.parquet").write_text("no parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as error:
        read_gold(str(tmp_path / name))
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_data_set_that_does_not_exist_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="cannot load"):
        read_gold(f"datasets:{tmp_path / 'absent'}")
