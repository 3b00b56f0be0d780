"""The fake engine: the same answers whatever happens around it, and the faults it is told to have."""

import asyncio
import json
import pickle
import re
from dataclasses import replace
from hashlib import sha256

import pytest
from PIL import Image
from pydantic import ValidationError

from curate.core.errors import EngineDead, RequestRejected
from curate.core.types import Question
from curate.engines.base import Payload
from curate.engines.fake import FakeEngine
from curate.judges.verdicts import ANSWER_PREFIX, answer_regex, parse_answer
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings

CATEGORIES = ("O1: Hate", "O2: Violence", "NA: None applying")
QUESTION = Question(policy="p", text="judge this picture", categories=CATEGORIES, violable=CATEGORIES[:1])
HASHES = [sha256(bytes([n])).hexdigest() for n in range(200)]


def engine(**args) -> FakeEngine:
    return FakeEngine(ModelSettings(name="fake", path="fake"), EngineSettings(name="fake", timeout=0.05, args=args))


def payload(digest: str) -> Payload:
    return Payload(data=digest, nbytes=64, prompt_tokens=7)


def judge_all(fake: FakeEngine, hashes, question=QUESTION):
    async def scenario():
        await fake.start()
        return await asyncio.gather(*(fake.judge(payload(h), question) for h in hashes), return_exceptions=True)

    return asyncio.run(scenario())


def test_answers_depend_on_picture_and_question_alone():
    forward = judge_all(engine(), HASHES)
    backward = judge_all(engine(latency=0.001, rate=1e6), HASHES[::-1])[::-1]
    assert forward == backward
    assert len({a.text for a in forward}) == len(HASHES)
    other = judge_all(engine(), HASHES, replace(QUESTION, policy="q"))
    assert other != forward


def test_answers_are_laid_out_as_trained_and_agree_with_themselves():
    ratings = []
    for answer in judge_all(engine(), HASHES):
        fields = json.loads(answer.text)
        assert answer.text.startswith(ANSWER_PREFIX)
        assert re.fullmatch(answer_regex(QUESTION), answer.text.removeprefix(ANSWER_PREFIX))
        assert list(fields) == ["rating", "category", "rationale"]
        assert fields["category"] in (QUESTION.violable if fields["rating"] == "Unsafe" else QUESTION.categories)
        assert (answer.p_unsafe > 0.5) == (fields["rating"] == "Unsafe")
        assert 0.9 <= answer.label_mass <= 1
        ratings.append(fields["rating"])
    assert 20 < ratings.count("Unsafe") < 100


@pytest.mark.parametrize(
    ("rationale", "above", "expected"),
    [
        ("none", None, lambda p: False),
        ("all", None, lambda p: True),
        ("unsafe", None, lambda p: p > 0.5),
        ("unsafe", 0.2, lambda p: p > 0.2),
    ],
)
def test_rationales_follow_the_mode(rationale, above, expected):
    question = replace(QUESTION, rationale=rationale, rationale_above=above, rationale_chars=10)
    for answer in judge_all(engine(), HASHES, question):
        text = parse_answer(answer.text, question).rationale
        assert (text is not None) == expected(answer.p_unsafe)
        assert text is None or len(text) <= 10


def test_a_policy_that_enforces_nothing_has_no_unsafe_answer():
    question = replace(QUESTION, violable=())
    assert {json.loads(a.text)["rating"] for a in judge_all(engine(), HASHES, question)} == {"Safe"}


def test_faults_strike_the_chosen_picture_alone():
    rejected, invalid, cut, fine = judge_all(
        engine(fail={HASHES[0]: "reject", HASHES[1][:12]: "invalid", HASHES[2]: "length"}), HASHES[:4]
    )
    healthy = judge_all(engine(), HASHES[:4])
    assert isinstance(rejected, RequestRejected)
    assert json.loads(invalid.text)["category"] not in CATEGORIES
    assert cut.text
    assert healthy[2].text.startswith(cut.text)
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut.text)
    assert fine == healthy[3]


@pytest.mark.parametrize("fault", ["die", "hang"])
def test_a_dead_engine_stays_dead(fault):
    fake = engine(fail={HASHES[0]: fault})
    first, waiting = judge_all(fake, [HASHES[0], HASHES[1]])
    assert isinstance(first, EngineDead)
    assert (fault == "hang") == (not isinstance(waiting, EngineDead))
    assert isinstance(judge_all(fake, [HASHES[2]])[0], EngineDead)


def test_the_processor_serves_at_its_rate_and_counts_what_it_waited():
    fake = engine(rate=2000)

    async def scenario():
        await asyncio.gather(*(fake.judge(payload(h), QUESTION) for h in HASHES[:20]))
        unfed = fake.metrics()["idle_seconds"]
        await asyncio.sleep(0.05)
        await fake.judge(payload(HASHES[20]), QUESTION)
        return unfed

    unfed = asyncio.run(scenario())
    metrics = fake.metrics()
    assert metrics["busy_seconds"] == pytest.approx(21 / 2000)
    assert metrics["idle_seconds"] - unfed >= 0.04
    assert (metrics["requests"], metrics["prompt_tokens"]) == (21, 21 * 7)
    assert metrics["generation_tokens"] > 0


def test_the_renderer_pickles_counts_tokens_and_refuses_long_prompts():
    render = pickle.loads(pickle.dumps(engine(max_prompt_tokens=5).renderer_factory()))().render
    rendered = render(Image.new("RGB", (56, 28)), HASHES[0], QUESTION)
    assert (rendered.data, rendered.prompt_tokens) == (HASHES[0], 5)
    with pytest.raises(RequestRejected, match="6 tokens"):
        render(Image.new("RGB", (57, 28)), HASHES[0], QUESTION)


def test_unknown_arguments_are_refused():
    with pytest.raises(ValidationError, match="latncy"):
        engine(latncy=1)
