"""`engine.workers=auto`: processes are added while they are what the engine waits for, and not otherwise."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar

import psutil
import pytest

from curate.annotation import autoscale
from curate.annotation.autoscale import QueueLengths, add_workers_while_starved, is_starved
from curate.annotation.instrumented import InstrumentedEngine, InstrumentedPool
from curate.annotation.preprocess_pool import Limits, PreprocessPool
from curate.core.types import Answer, Question, Sample
from curate.engines.base import Payload
from curate.engines.fake import FakeEngine
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings
from curate.telemetry.meter import Meter
from curate.telemetry.metrics import Gauge
from tests.support.jobs import picture
from tests.support.waiting import HANG_SECONDS

LIMITS = Limits(max_bytes=2**20, max_pixels=10_000)
QUESTION = Question(policy="p", text="t", categories=("O1: A", "NA: None applying"), violable=("O1: A",))
IMAGE = picture(1)
IN_FLIGHT = 12


@dataclass(frozen=True)
class Renderer:
    """Takes `seconds` for a picture, and tells in which process."""

    seconds: float
    needed: ClassVar[None] = None

    def render(self, image, sha256, question) -> Payload:
        """As `curate.engines.base.Renderer`."""
        time.sleep(self.seconds)
        return Payload(data=str(os.getpid()), nbytes=1, prompt_tokens=1)


@dataclass(frozen=True)
class Factory:
    """Builds a renderer; the processes after the first end instead, where `ends` says so."""

    seconds: float
    ends: str = ""

    def __call__(self) -> Renderer:
        if self.ends and os.path.exists(self.ends):
            os._exit(9)
        if self.ends:
            open(self.ends, "x").close()
        return Renderer(self.seconds)


@pytest.mark.parametrize(
    ("before", "now", "starved"),
    [
        (QueueLengths(waiting=120, asked=0), QueueLengths(waiting=120, asked=1), True),
        (QueueLengths(waiting=120, asked=10), QueueLengths(waiting=119.5, asked=10), True),
        (QueueLengths(waiting=120, asked=0), QueueLengths(waiting=90, asked=30), False),  # the engine is being filled
        (QueueLengths(waiting=40, asked=80), QueueLengths(waiting=45, asked=75), False),  # it has more than enough
        (QueueLengths(waiting=0.5, asked=0), QueueLengths(waiting=0.9, asked=0), False),  # reading is slow
    ],
)
def test_starved_is_a_line_before_the_preparers_that_stays(before, now, starved):
    assert is_starved(before, now) == starved


class FullEngine:
    """Answers one request at the moment that all samples are in it: whatever time preparing takes, it has enough."""

    def __init__(self) -> None:
        self.answered = 0
        self._waiting: deque[asyncio.Event] = deque()

    async def judge(self, payload, question) -> Answer:
        """As `curate.engines.base.Engine`."""
        free = asyncio.Event()
        self._waiting.append(free)
        if len(self._waiting) == IN_FLIGHT:
            self._waiting.popleft().set()
            self.answered += 1
        await free.wait()
        return Answer(text="", p_unsafe=None, label_mass=None, prompt_tokens=0, cached_tokens=0, output_tokens=0)


def fast_engine() -> FakeEngine:
    return FakeEngine(ModelSettings(name="f", path="f"), EngineSettings(name="fake", args={"rate": 1000}))


@dataclass
class Scene:
    """Samples always in flight, through a pool that begins with one process."""

    factory: Factory
    most: int
    engine: FakeEngine | FullEngine = field(default_factory=fast_engine)
    meter: Meter = field(default_factory=Meter)
    pids: set[str] = field(default_factory=set)
    workers: int = 0

    async def until(self, done, *, begun=lambda: True) -> None:
        """Feed until `done`, unless that hangs; what may add processes looks on once it has `begun`."""
        metered = InstrumentedEngine(self.engine, self.meter)
        async with PreprocessPool(self.factory, LIMITS, workers=1, most=self.most) as pool:
            self.meter.levels[Gauge.PREPARERS].change(1)
            prepare = InstrumentedPool(pool, self.meter)
            feeders = [asyncio.create_task(self._feed(prepare, metered)) for _ in range(IN_FLIGHT)]
            await _wait(begun)
            growth = asyncio.create_task(add_workers_while_starved(pool, self.meter, self.most, window=0.1))
            await _wait(lambda: done(growth))
            for task in (*feeders, growth):
                task.cancel()
            await asyncio.gather(*feeders, growth, return_exceptions=True)
            self.workers = pool.workers

    async def _feed(self, pool, engine) -> None:
        while True:
            sample = Sample(key="k", index=0, image=IMAGE)
            prepared = await pool.prepare(sample, (QUESTION,))
            self.pids.add(prepared.payloads[0][0].data)
            await engine.judge(prepared.payloads[0][0], QUESTION)


async def _wait(met) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while not met() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


@pytest.mark.slow
def test_processes_are_added_up_to_the_most_while_the_engine_waits_for_them():
    scene = Scene(Factory(0.05), most=3)
    asyncio.run(scene.until(lambda growth: growth.done() and len(scene.pids) == 3))
    assert (scene.workers, len(scene.pids)) == (3, 3)
    assert scene.meter.levels[Gauge.PREPARERS].value == 3
    assert not any(psutil.pid_exists(int(pid)) for pid in scene.pids)


@pytest.mark.slow
def test_none_is_added_while_the_engine_has_enough(monkeypatch):
    looks = count_looks(monkeypatch)
    engine = FullEngine()
    scene = Scene(Factory(0.0), most=3, engine=engine)
    asyncio.run(scene.until(lambda growth: len(looks) > 5, begun=lambda: engine.answered > 0))
    assert len(looks) > 5
    assert (scene.workers, len(scene.pids)) == (1, 1)


def count_looks(monkeypatch) -> list[QueueLengths]:
    """What `add_workers_while_starved` will have seen."""
    seen = []
    look = autoscale._look

    async def counted(meter, window) -> QueueLengths:
        seen.append(await look(meter, window))
        return seen[-1]

    monkeypatch.setattr(autoscale, "_look", counted)
    return seen


@pytest.mark.slow
def test_it_stays_with_what_there_is_where_another_process_cannot_load(tmp_path):
    scene = Scene(Factory(0.05, ends=str(tmp_path / "one-is-there")), most=4)
    asyncio.run(scene.until(lambda growth: growth.done()))
    assert (scene.workers, len(scene.pids)) == (1, 1)


def test_one_core_is_left_to_the_engine(monkeypatch):
    for cores, most in ((1, 1), (2, 1), (8, 7), (200, autoscale.MOST)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, cores=cores: set(range(cores)))
        assert autoscale.most_workers() == most
