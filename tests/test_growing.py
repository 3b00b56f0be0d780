"""`engine.workers=auto`: processes are added while they are what the engine waits for, and not otherwise."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from typing import ClassVar

import psutil
import pytest

from curate import growing
from curate.engines.base import Payload
from curate.growing import Standing, grow_while_starved, is_starved
from curate.meter import Meter
from curate.metered import MeteredEngine, MeteredPool
from curate.metrics import Gauge
from curate.preparing import Limits, PreparerPool
from curate.settings import EngineSettings, ModelSettings
from curate.testing.fake_engine import FakeEngine
from curate.types import Question, Sample
from tests.jobs import picture

LIMITS = Limits(max_bytes=2**20, max_pixels=10_000)
QUESTION = Question(policy="p", text="t", categories=("O1: A", "NA: None applying"), violable=("O1: A",))
IMAGE = picture(1)


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
        (Standing(waiting=120, asked=0), Standing(waiting=120, asked=1), True),
        (Standing(waiting=120, asked=10), Standing(waiting=119.5, asked=10), True),
        (Standing(waiting=120, asked=0), Standing(waiting=90, asked=30), False),  # the engine is being filled
        (Standing(waiting=40, asked=80), Standing(waiting=45, asked=75), False),  # it has more than enough
        (Standing(waiting=0.5, asked=0), Standing(waiting=0.9, asked=0), False),  # reading is slow
    ],
)
def test_starved_is_a_line_before_the_preparers_that_stays(before, now, starved):
    assert is_starved(before, now) == starved


@dataclass
class Scene:
    """Twelve samples always in flight, through a pool that begins with one process."""

    factory: Factory
    rate: float
    most: int
    meter: Meter = field(default_factory=Meter)
    pids: set[str] = field(default_factory=set)
    lanes: int = 0

    async def until(self, done) -> None:
        """Feed until `done`, or for two minutes at most."""
        engine = FakeEngine(ModelSettings(name="f", path="f"), EngineSettings(name="fake", args={"rate": self.rate}))
        metered = MeteredEngine(engine, self.meter)
        async with PreparerPool(self.factory, LIMITS, workers=1, most=self.most) as pool:
            self.meter.levels[Gauge.PREPARERS].change(1)
            feeders = [asyncio.create_task(self._feed(MeteredPool(pool, self.meter), metered)) for _ in range(12)]
            growth = asyncio.create_task(grow_while_starved(pool, self.meter, self.most, window=0.2))
            deadline = time.monotonic() + 120
            while not done(self, growth) and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            for task in (*feeders, growth):
                task.cancel()
            await asyncio.gather(*feeders, growth, return_exceptions=True)
            self.lanes = pool.lanes

    async def _feed(self, pool, engine) -> None:
        while True:
            sample = Sample(key="k", index=0, image=IMAGE)
            prepared = await pool.prepare(sample, (QUESTION,))
            self.pids.add(prepared.payloads[0].data)
            await engine.judge(prepared.payloads[0], QUESTION)


def test_processes_are_added_up_to_the_most_while_the_engine_waits_for_them():
    scene = Scene(factory=Factory(0.05), rate=1000, most=3)
    asyncio.run(scene.until(lambda s, growth: len(s.pids) == 3))
    assert (scene.lanes, len(scene.pids)) == (3, 3)
    assert scene.meter.levels[Gauge.PREPARERS].value == 3
    assert not any(psutil.pid_exists(int(pid)) for pid in scene.pids)


def test_none_is_added_while_the_engine_has_enough():
    scene = Scene(factory=Factory(0.0), rate=20, most=3)
    asyncio.run(scene.until(lambda s, growth: s.meter.running().seconds["engine"] > 20))
    assert (scene.lanes, len(scene.pids)) == (1, 1)


def test_it_stays_with_what_there_is_where_another_process_cannot_load(tmp_path):
    scene = Scene(factory=Factory(0.05, ends=str(tmp_path / "one-is-there")), rate=1000, most=4)
    asyncio.run(scene.until(lambda s, growth: growth.done()))
    assert (scene.lanes, len(scene.pids)) == (1, 1)


def test_one_core_is_left_to_the_engine(monkeypatch):
    for cores, most in ((1, 1), (2, 1), (8, 7), (200, growing.MOST)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, cores=cores: set(range(cores)))
        assert growing.most_workers() == most
