"""The engine's death costs at most the input that causes it."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from curate.core.errors import EngineDead, InputQuarantined
from curate.core.types import Question
from curate.engines.base import Payload
from curate.engines.fake import FakeEngine
from curate.engines.supervised import MAX_RESTARTS, SupervisedEngine
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings

MODEL = ModelSettings(name="fake", path="fake")
QUESTION = Question(policy="p", text="t", categories=("O1: A", "NA: None applying"), violable=("O1: A",))


def payload(number):
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    return Payload(data=sha256, nbytes=1, prompt_tokens=1)


def supervised(fail, **settings):
    made = []

    def make():
        engine = EngineSettings(name="fake", args={"fail": fail, "latency": 0.001}, **settings)
        made.append(FakeEngine(MODEL, engine))
        return made[-1]

    return SupervisedEngine(make, back_off=0.0), made


async def judge_all(engine, numbers):
    await engine.start()
    return await asyncio.gather(*(engine.judge(payload(n), QUESTION) for n in numbers), return_exceptions=True)


def test_only_the_killers_are_quarantined():
    killers = {7, 23}
    engine, made = supervised({payload(n).data: "die" for n in killers})
    outcomes = asyncio.run(judge_all(engine, range(40)))
    undisturbed = asyncio.run(judge_all(supervised({})[0], range(40)))
    for number, (outcome, expected) in enumerate(zip(outcomes, undisturbed, strict=True)):
        if number in killers:
            assert isinstance(outcome, InputQuarantined), number
        else:
            assert outcome == expected, number
    assert engine.metrics()["restarts"] == len(made) - 1 > 1


def test_a_hanging_engine_is_one_that_died():
    engine, _ = supervised({payload(3).data: "hang"}, timeout=0.05)
    outcomes = asyncio.run(judge_all(engine, range(10)))
    assert [n for n, o in enumerate(outcomes) if isinstance(o, InputQuarantined)] == [3]


def test_a_death_that_does_not_repeat_costs_nothing():
    class DiesOnce(FakeEngine):
        lives = 1

        async def judge(self, payload, question):
            if DiesOnce.lives:
                DiesOnce.lives -= 1
                raise EngineDead("killed from outside")
            return await super().judge(payload, question)

    engine = SupervisedEngine(lambda: DiesOnce(MODEL, EngineSettings(name="fake")), back_off=0.0)
    outcomes = asyncio.run(judge_all(engine, range(10)))
    assert not [o for o in outcomes if isinstance(o, Exception)]


def test_an_engine_that_never_answers_is_given_up():
    class Dead(FakeEngine):
        async def judge(self, payload, question):
            raise EngineDead("always")

    made = []

    def make():
        made.append(Dead(MODEL, EngineSettings(name="fake")))
        return made[-1]

    engine = SupervisedEngine(make, back_off=0.0)
    outcomes = asyncio.run(judge_all(engine, range(10)))
    assert any(isinstance(o, EngineDead) for o in outcomes)
    assert len(made) == MAX_RESTARTS + 1


def test_what_comes_later_waits_for_the_suspects():
    async def main():
        engine, _ = supervised({payload(0).data: "die"})
        await engine.start()
        first = asyncio.create_task(engine.judge(payload(0), QUESTION))
        await asyncio.sleep(0.002)
        late = await asyncio.gather(*(engine.judge(payload(n), QUESTION) for n in range(1, 9)))
        with pytest.raises(InputQuarantined):
            await first
        return late

    assert len(asyncio.run(main())) == 8


def test_whoever_stops_waiting_leaves_no_restart_half_done():
    """A client that hangs up during a restart: the engine that starts is neither lost nor started twice."""
    starts = []

    class Slow(FakeEngine):
        async def start(self):
            starts.append("begun")
            await asyncio.sleep(0.01)
            starts.append("done")

    def make():
        return Slow(MODEL, EngineSettings(name="fake", args={"fail": {payload(1).data: "die"}}))

    async def go():
        engine = SupervisedEngine(make, back_off=0.0)
        await engine.start()
        waiting = asyncio.create_task(engine.judge(payload(1), QUESTION))
        while starts.count("begun") < 2:
            await asyncio.sleep(0)
        waiting.cancel()
        answer = await engine.judge(payload(2), QUESTION)
        await engine.close()
        return answer, waiting

    answer, waiting = asyncio.run(go())
    assert waiting.cancelled()
    assert answer.p_unsafe is not None
    assert starts == ["begun", "done"] * 2
