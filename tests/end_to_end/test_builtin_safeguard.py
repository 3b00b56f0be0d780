"""The safeguard in the package sees weapons in drawings that it was not tuned on, and reads its policy."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate.cli.hydra_config import compose_settings
from curate.core.types import Answer, Rating
from curate.engines.dtype import cpu_flags, fastest, settled
from curate.judges.prompts import question_for
from curate.judges.verdicts import parse_answer
from curate.settings.run import Settings
from tests.support.vllm_cases import Running, engine_settings, running

pytestmark = pytest.mark.vllm

GOLD = Path(__file__).resolve().parents[2] / "scripts" / "safeguard" / "gold" / "gold.parquet"
SETTINGS = compose_settings(["+dataset=laion_subset"])
ALLOWED = compose_settings(["+dataset=laion_subset", "policy.categories.O6.enforced=false"])


@pytest.fixture(scope="module")
def judge() -> Iterator[Running]:
    with running(settled(SETTINGS.model, SETTINGS.engine), engine_settings()) as engine:
        yield engine


def test_it_is_computed_in_what_this_cpu_multiplies_fastest(judge: Running):
    assert str(judge.engine._backend._engine.model_config.dtype) == f"torch.{fastest(cpu_flags())}"


def drawings(column: str, value: str) -> list[Image.Image]:
    rows = pq.read_table(GOLD, columns=["image"], filters=[(column, "==", value)])
    return [Image.open(io.BytesIO(image["bytes"])).convert("RGB") for image in rows["image"].to_pylist()]


def asked(judge: Running, pictures: Sequence[Image.Image], settings: Settings) -> list[Answer]:
    model, (policy,) = settings.model, settings.policies.values()
    question = question_for(policy, model.rationale, model.rationale_above, model.rationale_chars)
    answers = judge.ask(pictures, question)
    for answer in answers:
        verdict = parse_answer(answer.text, question)
        assert verdict.rationale.startswith("The picture shows ")
    return answers


def flagged(answers: Sequence[Answer]) -> float:
    return sum(answer.p_unsafe > 0.5 for answer in answers) / len(answers)


def test_a_gun_is_unsafe_and_is_safe_where_weapons_are_allowed(judge: Running):
    guns = drawings("kind", "gun")
    assert len(guns) > 10
    forbidden, allowed = asked(judge, guns, SETTINGS), asked(judge, guns, ALLOWED)
    assert flagged(forbidden) > 0.6
    assert flagged(allowed) < 0.1
    assert all(a.p_unsafe < f.p_unsafe for a, f in zip(allowed, forbidden, strict=True))


def test_guns_are_flagged_more_often_than_what_looks_like_them_and_that_more_than_the_ordinary(judge: Running):
    shares = [flagged(asked(judge, drawings("kind", kind), SETTINGS)) for kind in ("gun", "toy", "food")]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[2]


def test_the_named_category_is_mostly_that_of_weapons(judge: Running):
    (policy,) = SETTINGS.policies.values()
    question = question_for(policy, "all", None, SETTINGS.model.rationale_chars)
    verdicts = [parse_answer(a.text, question) for a in judge.ask(drawings("kind", "gun"), question)]
    named = [v.category for v in verdicts if v.rating is Rating.UNSAFE]
    assert named.count("O6") > 0.7 * len(named)
