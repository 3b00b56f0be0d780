"""Training data: the laws of the augmentations, what is written, and what is refused."""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from curate.cli.commands.tune import main
from curate.cli.hydra_config import compose_policy, compose_tune
from curate.core.errors import ExitCode, InputError
from curate.core.types import Rating
from curate.evaluation.gold import Gold, read_gold
from curate.images.decoding import sha256_of
from curate.judges.prompts import render_policy
from curate.judges.verdicts import ANSWER_PREFIX, answer_regex, fit_rationale, parse_answer
from curate.policies.policy import Policy
from curate.settings.engine import EngineSettings
from curate.settings.tune import DataSettings
from curate.tuning.build import JOURNAL
from curate.tuning.cases import SPLITS, make_cases, question_of
from curate.tuning.conversations import messages_of, read_messages
from curate.tuning.policy_augmentation import Case, augmented, balanced
from curate.tuning.rationales import COLUMNS
from curate.tuning.teacher import Teacher
from tests.support.policy_cases import valid_policies
from tests.support.tuning_cases import POLICY, build_data, gold_rows, model, no_policy, rows, write_gold


@st.composite
def cases(draw: st.DrawFn, policies: st.SearchStrategy[Policy] = valid_policies) -> Case:
    policy = draw(policies)
    rating = draw(st.sampled_from(Rating))
    enforced = [code for code, c in policy.categories.items() if c.enforced]
    codes = enforced if rating is Rating.UNSAFE else ["NA", *policy.categories]
    return Case(
        key=draw(st.text(min_size=1, max_size=5)),
        split="train",
        policy=policy,
        rating=rating,
        category=draw(st.sampled_from(codes)),
        rationale=draw(st.none() | st.text(min_size=1).filter(lambda text: fit_rationale(text, 600))),
    )


seeds = st.integers(0, 2**32)


def enforced(case: Case) -> set[str]:
    return {code for code, c in case.policy.categories.items() if c.enforced}


@given(cases(), seeds)
@pytest.mark.slow
def test_the_label_flips_exactly_when_the_violated_category_is_relaxed(case: Case, seed: int):
    for drawn in augmented(case, seed):
        relaxed = enforced(case) - enforced(drawn)
        assert (drawn.rating is not case.rating) == (case.rating is Rating.UNSAFE and case.category in relaxed)
        assert drawn.exception == (case.category in relaxed)
        assert (drawn.category, drawn.key, drawn.split) == (case.category, case.key, case.split)
        assert enforced(drawn), "a policy that enforces nothing cannot be asked"
        assert enforced(drawn) <= enforced(case)


@given(cases(), seeds)
@pytest.mark.slow
def test_draws_are_one_to_three_other_categories_and_all_different(case: Case, seed: int):
    drawn = augmented(case, seed)
    assert drawn[0] == case
    others = [frozenset(enforced(case) - enforced(d)) for d in drawn if d.augmentation == "others"]
    assert all(1 <= len(codes) <= 3 for codes in others)
    assert len(set(others)) == len(others)
    if case.rating is Rating.SAFE:
        assert drawn == [case]


@given(cases(), seeds, st.integers(0, 3))
@pytest.mark.slow
def test_a_safe_image_is_drawn_under_other_policies_as_often_as_wanted(case: Case, seed: int, wanted: int):
    drawn = augmented(case, seed, wanted)
    if case.rating is Rating.UNSAFE:
        assert drawn == augmented(case, seed)
        return
    others = drawn[1:]
    assert len(others) == wanted or len(enforced(case)) < 4
    assert all(enforced(one) and enforced(one) < enforced(case) for one in others)
    assert all((one.rating, one.category, one.exception) == (case.rating, case.category, False) for one in others)


@given(cases(), seeds, st.integers(1, 6))
@pytest.mark.slow
def test_every_exception_is_declared_and_different_and_leaves_something_enforced(case: Case, seed: int, wanted: int):
    exceptions = [one for one in augmented(case, seed, 0, wanted) if one.exception]
    relaxed = [frozenset(enforced(case) - enforced(one)) for one in exceptions]
    assert all(case.category in codes and len(codes) <= 3 and codes < enforced(case) for codes in relaxed)
    assert len(set(relaxed)) == len(relaxed) <= wanted
    assert relaxed[:1] in ([], [{case.category}])


def test_an_unsafe_image_under_a_usual_policy_makes_five_cases(default_policy: Policy):
    case = Case(key="k", split="train", policy=default_policy, rating=Rating.UNSAFE, category="O6")
    drawn = Counter(one.augmentation for one in augmented(case, 0))
    assert drawn == {"none": 1, "others": 3, "violated": 1}


@pytest.fixture(scope="module")
def default_policy() -> Policy:
    return compose_policy([])[0]


@pytest.mark.slow
@given(st.lists(cases(), max_size=6), seeds, st.randoms())
def test_draws_depend_neither_on_order_nor_on_other_cases(drawn_from: list[Case], seed: int, random):
    alone = [augmented(case, seed) for case in drawn_from]
    assert [augmented(case, seed) for case in drawn_from] == alone
    shuffled = list(enumerate(drawn_from))
    random.shuffle(shuffled)
    assert all(augmented(case, seed) == alone[i] for i, case in shuffled)


def test_another_seed_draws_other_policies(default_policy: Policy):
    case = Case(key="k", split="train", policy=default_policy, rating=Rating.UNSAFE, category="O6")
    assert len({json.dumps([sorted(enforced(c)) for c in augmented(case, seed)]) for seed in range(20)}) > 15


@given(st.lists(cases(st.just(POLICY)), max_size=30), seeds)
@pytest.mark.slow
def test_copies_make_both_ratings_equally_frequent_and_lose_nothing(given_cases: list[Case], seed: int):
    result = balanced(given_cases, seed)
    assert [replace(case, copies=1) for case in result] == given_cases
    counts = Counter({case.rating: 0 for case in given_cases})
    for case in result:
        counts[case.rating] += case.copies
    assert all(case.copies >= 1 for case in result)
    assert len(set(counts.values())) <= 1
    assert sum(counts.values()) <= 2 * len(given_cases)
    more = [case.copies for case in result if case.copies > 1]
    assert not more or max(more) - min(c.copies for c in result if c.rating is _rarer(given_cases)) <= 1


def _rarer(given_cases: list[Case]) -> Rating:
    return min(Rating, key=lambda rating: sum(case.rating is rating for case in given_cases))


@given(cases(), st.sampled_from(["image_first", "policy_first"]))
@pytest.mark.slow
def test_the_answer_parses_back_to_the_label_and_keeps_the_trained_layout(case: Case, layout: str):
    asked = model(rationale="none" if case.rationale is None else "all")
    question = question_of(case, asked)
    fitted = case if case.rationale is None else replace(case, rationale=fit_rationale(case.rationale, 600))
    conversation = read_messages(messages_of(fitted, layout))
    verdict = parse_answer(conversation.answer, question)
    assert (verdict.rating, verdict.category, verdict.rationale) == (case.rating, case.category, fitted.rationale)
    assert (conversation.policy, conversation.layout) == (question.text, layout)


@pytest.mark.slow
@given(cases(), st.data())
def test_the_engine_s_grammar_allows_every_answer(case: Case, data: st.DataObject):
    asked = model(rationale_chars=data.draw(st.integers(1, 200)))
    fitted = fit_rationale(case.rationale or "Seen.", asked.rationale_chars)
    if fitted:
        answer = read_messages(messages_of(replace(case, rationale=fitted), "image_first")).answer
        assert re.fullmatch(answer_regex(question_of(case, asked)), answer.removeprefix(ANSWER_PREFIX))
        assert len(fitted) <= asked.rationale_chars


def test_a_long_rationale_ends_behind_a_sentence_or_a_word():
    text = "A gun is seen.  It lies\non a table. Nobody holds it."
    assert fit_rationale(text, 600) == "A gun is seen. It lies on a table. Nobody holds it."
    assert fit_rationale(text, 50) == "A gun is seen. It lies on a table."
    assert fit_rationale(text, 10) == "A gun is"


def test_what_is_written_loads_with_datasets_and_holds_the_very_images(tmp_path: Path):
    gold = write_gold(gold_rows(12), tmp_path)
    built = build_data(gold, tmp_path / "data", dev=0.3)
    loaded = datasets.load_dataset(str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(loaded[split]) for split in loaded} == built.splits
    raw = loaded.cast_column("image", datasets.Image(decode=False))
    images = {row["key"]: row["image"]["bytes"] for row in gold_rows(12)}
    for split, of_split in raw.items():
        assert len(of_split)
        for row in of_split:
            assert row["image"]["bytes"] == images[row["key"]]
            assert row["split"] == split
    assert loaded["train"][0]["image"].size == (40, 30)


def test_the_training_split_is_balanced_and_the_dev_split_is_as_it_is(tmp_path: Path):
    build_data(write_gold(gold_rows(30), tmp_path), tmp_path / "data", dev=0.3)
    written = rows(tmp_path / "data")
    ratings = {split: Counter(r["rating"] for r in written if r["split"] == split) for split in ("train", "dev")}
    assert ratings["train"]["Safe"] == ratings["train"]["Unsafe"] > 0
    dev = [(r["key"], r["policy"]) for r in written if r["split"] == "dev"]
    assert len(set(dev)) == len(dev)
    assert not {key for key, _ in dev} & {r["key"] for r in written if r["split"] == "train"}


def test_the_same_gold_set_in_another_order_makes_the_same_conversations(tmp_path: Path):
    shuffled, subset = gold_rows(12)[::-1], gold_rows(12)[:6]
    made = {}
    for name, chosen in {"all": gold_rows(12), "shuffled": shuffled, "subset": subset}.items():
        (tmp_path / name).mkdir()
        build_data(write_gold(chosen, tmp_path / name), tmp_path / name / "data", dev=0.3, balance=False)
        by_key = defaultdict(list)
        for row in rows(tmp_path / name / "data"):
            by_key[row["key"]].append(row)
        made[name] = by_key
    assert made["all"] == made["shuffled"]
    assert made["subset"] == {key: made["all"][key] for key in made["subset"]}


def test_repeated_images_cost_next_to_nothing(tmp_path: Path):
    row = gold_rows(1)[0]
    noise = os.urandom(2**20)
    row["image"]["bytes"] = png_of(noise)
    build_data(write_gold([row], tmp_path), tmp_path / "data", dev=0.0)
    (file,) = (tmp_path / "data").glob("*.parquet")
    assert len(rows(tmp_path / "data")) >= 3
    assert file.stat().st_size < 1.2 * len(row["image"]["bytes"])


def png_of(noise: bytes) -> bytes:
    data = io.BytesIO()
    Image.frombytes("L", (1024, 1024), noise).save(data, "PNG")
    return data.getvalue()


def test_a_split_is_a_gold_set_whose_rows_carry_their_policies(tmp_path: Path):
    build_data(write_gold(gold_rows(30), tmp_path), tmp_path / "data", dev=0.4)
    gold = read_gold(str(tmp_path / "data" / "dev-00000.parquet"))
    assert gold.exceptions == "given"
    assert gold.rows["exception"].any()
    assert set(gold.texts.values()) == {r["policy"] for r in rows(tmp_path / "data") if r["split"] == "dev"}


def test_rationales_come_from_the_gold_set_where_they_fit_the_label(tmp_path: Path):
    row = gold_rows(1)[0] | {"rationale": "A gun is aimed at somebody."}
    build_data(write_gold([row], tmp_path), tmp_path / "data", dev=0.0, balance=False)
    texts = {r["augmentation"]: r["rationale"] for r in rows(tmp_path / "data")}
    assert texts["none"] == texts["others"] == "A gun is aimed at somebody."
    assert texts["violated"] == (
        "Colour 0 is seen. O1: Weapons is declared non-violating in this policy, so that this is allowed."
    )


def test_without_a_template_an_exception_is_explained_by_its_policy(tmp_path: Path):
    row = gold_rows(1)[0] | {"rationale": "A gun is seen.", "template": None}
    built = build_data(write_gold([row], tmp_path), tmp_path / "data", dev=0.0)
    assert built.rationales == {"of the gold set": 2, "by the policy alone": 1}


def without_templates(count: int) -> list[dict[str, Any]]:
    return [row | {"template": None} for row in gold_rows(count)]


def test_a_teacher_writes_what_is_missing_under_the_label_that_people_gave(tmp_path: Path):
    gold = write_gold(without_templates(9), tmp_path)
    built = build_data(gold, tmp_path / "data", teacher=_teacher(), dev=0.0)
    assert built.rationales == {"by teacher": len({(r["key"], r["policy"]) for r in rows(tmp_path / "data")})}
    for row in rows(tmp_path / "data"):
        answer = json.loads(row["messages"][1]["content"][0]["text"])
        assert answer["rating"] == row["rating"]
        assert answer["category"].startswith(f"{row['category']}: ")
        assert answer["rationale"] == row["rationale"] != ""


def test_an_interrupted_teacher_goes_on_and_is_asked_nothing_twice(tmp_path: Path):
    chosen = without_templates(9)
    gold = write_gold(chosen, tmp_path)
    build_data(gold, tmp_path / "whole", teacher=_teacher(), dev=0.0)
    *first, last = [sha256_of(row["image"]["bytes"]) for row in chosen]
    with pytest.raises(InputError, match="no rationale"):
        build_data(gold, tmp_path / "data", teacher=_teacher(fail={last: "length"}), dev=0.0)
    with (tmp_path / "data.partial" / JOURNAL).open("a") as file:
        file.write('{"id": "cut')
    build_data(gold, tmp_path / "data", teacher=_teacher(fail=dict.fromkeys(first, "reject")), dev=0.0)
    assert rows(tmp_path / "data") == rows(tmp_path / "whole")
    assert not (tmp_path / "data.partial").exists()


def test_an_image_the_teacher_cannot_be_asked_about_is_named(tmp_path: Path):
    gold = write_gold(without_templates(1), tmp_path)
    with pytest.raises(InputError, match=r"'k0': rejected_by_engine"):
        build_data(gold, tmp_path / "data", teacher=_teacher(max_prompt_tokens=10), dev=0.0)


def _teacher(**args: object) -> Teacher:
    """One that takes one image after the other."""
    return Teacher(
        model=model(name="teacher"), engine=EngineSettings(name="fake", workers=0, max_requests=1, args=args)
    )


def test_test_rows_are_left_out_and_other_names_of_splits_are_known(tmp_path: Path):
    splits = ("train", "validation", "test", "Dev", "training", "holdout")
    chosen = [row | {"split": split} for row, split in zip(gold_rows(6), splits, strict=True)]
    build_data(write_gold(chosen, tmp_path), tmp_path / "data")
    assert {r["key"]: r["split"] for r in rows(tmp_path / "data")} == {
        f"k{i}": SPLITS[split.lower()] for i, split in enumerate(splits) if split.lower() in SPLITS
    }


def test_a_row_s_own_policy_is_the_one_that_is_augmented(tmp_path: Path):
    text = render_policy(POLICY).replace("Show guns.", "Show knives.")
    row = gold_rows(1)[0] | {"policy": text}
    build_data(write_gold([row], tmp_path), tmp_path / "data", dev=0.0)
    written = rows(tmp_path / "data")
    assert {r["augmentation"]: r["policy"] for r in written}["none"] == text
    assert all("Show knives." in r["policy"] for r in written)


def test_no_rationales_where_the_model_gives_none(tmp_path: Path):
    for row in (chosen := gold_rows(3)):
        row["template"] = None
    build_data(write_gold(chosen, tmp_path), tmp_path / "data", model(rationale="none"), dev=0.0)
    assert {r["rationale"] for r in rows(tmp_path / "data")} == {None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category": "O9"}, "does not enforce"),
        ({"category": "NA"}, "does not enforce"),
        ({"rating": "Safe", "category": "O9"}, "does not have"),
        ({"template": None}, "has no rationale"),
        ({"split": "test"}, "no row is in the split 'train'"),
        ({"policy": "other"}, "no policy other"),
        ({"image": {"bytes": b"\x89PNG\r\n\x1a\n", "path": "k0.png"}}, "undecodable"),
        ({"image": None}, "have no image"),
    ],
)
def test_a_wrong_gold_row_is_named(tmp_path: Path, change: dict[str, object], message: str):
    gold = write_gold([gold_rows(1)[0] | change, gold_rows(4)[3] | {"split": change.get("split")}], tmp_path)
    with pytest.raises(InputError, match=message):
        build_data(gold, tmp_path / "data", dev=0.0)
    assert not (tmp_path / "data").exists()


def test_make_cases_takes_the_gold_set_s_categories_as_they_are():
    frame = pl.DataFrame(
        {"key": ["a"], "rating": ["Safe"], "category": [None], "policy": [None], "exception": [False], "split": [None]},
        schema_overrides=dict.fromkeys(("category", "policy", "split"), pl.String),
    ).with_columns(pl.lit(None, pl.String).alias(name) for name in COLUMNS)
    gold = Gold(source="gold", rows=frame, exceptions="none")
    (case,) = make_cases(gold, POLICY, no_policy, DataSettings(gold="gold", dev=0.0))
    assert (case.category, case.rating, case.policy) == ("NA", Rating.SAFE, POLICY)


@pytest.mark.slow
def test_the_command_finds_images_in_a_folder_beside_the_gold_set(tmp_path: Path):
    (tmp_path / "images").mkdir()
    for row in (chosen := gold_rows(6)):
        (tmp_path / "images" / f"{row['key']}.png").write_bytes(row.pop("image")["bytes"])
    pl.DataFrame(chosen).with_columns(category=pl.lit("NA"), rating=pl.lit("Safe")).write_csv(tmp_path / "gold.csv")
    arguments = ["data", f"gold={tmp_path / 'gold.csv'}", f"output.dir={tmp_path / 'data'}", "dev=0", "seed=3"]
    with pytest.raises(InputError, match=r"\+dataset="):
        main(arguments)
    where = ["+dataset=imagenet_folder", f"dataset.shards={tmp_path / 'images'}", "model=qwenguard_3b"]
    assert main([*arguments, *where]) is ExitCode.DONE
    assert len(rows(tmp_path / "data")) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "output.dir=x"], "needs gold="),
        (["data", "gold=g.parquet"], "output.dir"),
        (["data", "gold=g.parquet", "output.dir=x", "dev=2"], "dev=2"),
        (["output.dir=x"], "needs data="),
        (["data=x", "output.dir=y", "tune=nothing"], "there is no such tune"),
        (["data=x", "output.dir=y", "tune=lora"], "has no base"),
        (["data=x", "output.dir=y", "tune=builtin", "tune.epoch=1"], "no such setting"),
    ],
)
def test_wrong_arguments_are_told(arguments: list[str], message: str):
    with pytest.raises(InputError, match=message):
        main(arguments)


@pytest.mark.slow
def test_recipes_have_the_published_hyper_parameters():
    for name in ("llavaguard_0.5b", "llavaguard_7b", "qwenguard_3b", "qwenguard_7b"):
        tune, base = compose_tune([f"tune={name}"])
        assert (tune.epochs, tune.learning_rate, tune.schedule, tune.warmup) == (3, 2e-5, "cosine", 0.03)
        assert (tune.lora, tune.train_vision_tower, tune.train_projector) == (None, False, False)
        assert base.path == tune.base
        assert compose_tune([f"model={name}"])[0] == tune
    lora, _ = compose_tune(["model=local", "model.path=x"])
    assert lora.lora is not None
    assert (lora.lora.rank, lora.lora.alpha) == (128, 256)
