"""What a run measures: sums that add up over workers and restarts, files in its folder, what it says of the pace."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import ClassVar

import pytest

from curate.annotation import run_worker
from curate.annotation.instrumented import InstrumentedEngine
from curate.cli.commands import annotate as annotate_command
from curate.cli.commands import run as run_command
from curate.cli.hydra_config import compose_settings
from curate.core.types import Question
from curate.engines.base import Payload
from curate.engines.fake import FakeEngine
from curate.pipeline.annotating import annotate
from curate.pipeline.opening import open_settings
from curate.settings.engine import EngineSettings
from curate.settings.model import ModelSettings
from curate.storage.local_store import LocalStore
from curate.telemetry.meter import Level, Meter
from curate.telemetry.metrics import Gauge, Metrics, Step
from curate.telemetry.metrics_files import SECONDS, TOTAL, WORKERS, read_metrics, setup_of, write_total
from curate.telemetry.throughput import pace
from tests.support.jobs import fake_run, write_tar

QUESTION = Question(policy="p", text="t", categories=("O1: A", "NA: None applying"), violable=("O1: A",))
ONE = Metrics(
    workers=1, samples=10, startup=2.0, elapsed=5.0, waited=1.0, loop=0.5, bytes_read=7, bytes_rendered=8,
    seconds={"read": 1.0}, depth={"engine": 10.0}, highest={"engine": 4}, engine={"restarts": 0},
)  # fmt: skip


@dataclass(frozen=True)
class SlowRenderer:
    """The fake engine's, behind a picture that takes `seconds`."""

    inner: object
    seconds: float
    needed: ClassVar[None] = None

    def render(self, image, sha256, question) -> Payload:
        """As `Renderer`."""
        time.sleep(self.seconds)
        return self.inner.render(image, sha256, question)


def slow_renderer(factory, seconds):
    return SlowRenderer(factory(), seconds)


class SlowlyPrepared(FakeEngine):
    """A fake engine whose pictures take 30 ms each to render, and that nothing else delays."""

    def renderer_factory(self):
        """As `Engine`."""
        return partial(slow_renderer, super().renderer_factory(), 0.03)


@pytest.fixture
def shards(tmp_path):
    """Two shards of 20 samples."""
    for number in range(2):
        write_tar(tmp_path / f"{number:05d}.tar", range(20 * number, 20 * number + 20))
    return f"{tmp_path}/{{00000..00001}}.tar"


def opened(shards, folder, *more):
    return open_settings(compose_settings(fake_run(shards, folder, *more)[1:]))


def test_sums_add_up_and_maxima_do_not():
    other = replace(ONE, samples=30, seconds={"read": 2.0, "write": 3.0}, highest={"engine": 9, "rows": 1})
    both = ONE + other
    assert (both.workers, both.samples, both.elapsed, both.waited, both.bytes_read) == (2, 40, 10.0, 2.0, 14)
    assert both.seconds == {"read": 3.0, "write": 3.0}
    assert both.highest == {"engine": 9, "rows": 1}
    assert both.engine == {"restarts": 0}
    assert both.rate == 4.0
    assert both.waited_share == 0.2
    assert both.mean(Gauge.ENGINE) == 2.0
    assert both.each(Step.WRITE) == 3 / 40
    assert Metrics() + ONE == ONE


@pytest.mark.parametrize(
    ("limit", "changes"),
    [
        ("engine", {"waited": 0.1, "depth": {"engine": 300.0, "preparing": 20.0, "preparers": 5.0}}),
        ("preparation", {"waited": 0.0, "depth": {"engine": 20.0, "preparing": 300.0, "preparers": 5.0}}),
        ("reading", {"seconds": {"read": 4.0, "place": 0.1, "write": 0.5}}),
        ("writing", {"seconds": {"read": 0.4, "place": 0.1, "write": 3.5}}),
        ("places", {"seconds": {"read": 0.4, "place": 3.1, "write": 0.5}}),
        ("loop", {"loop": 4.9}),
    ],
)
def test_the_limit_is_where_samples_stand(limit, changes):
    metrics = replace(ONE, **changes)
    assert metrics.limit == limit
    assert len(list(pace(metrics))) == 2


def test_nothing_is_said_of_a_run_that_asked_nothing():
    assert list(pace(Metrics())) == []


def test_a_level_is_integrated_over_time(monkeypatch):
    now = 0.0
    monkeypatch.setattr("curate.telemetry.meter.perf_counter", lambda: now)
    level = Level()
    for at, by in ((1.0, 2), (3.0, 1), (4.0, -3)):
        now = at
        level.change(by)
    assert (level.area, level.empty, level.highest) == (2 * 2 + 1 * 3, 1.0, 3)
    assert level.integrals(6.0) == (7.0, 3.0)
    assert level.integrals(0.5) == (7.0, 1.0)  # what is integrated already stays


def test_the_engine_waits_from_its_first_request_until_no_work_is_left(monkeypatch):
    now = 0.0
    monkeypatch.setattr("curate.telemetry.meter.perf_counter", lambda: now)
    meter = Meter()
    meter.levels[Gauge.PREPARERS].change(2)
    for begin, end in ((10.0, 11.0), (14.0, 16.0)):
        now = begin
        with meter.asked():
            now = end
    now = 99.0
    metrics = meter.snapshot({"restarts": 1})
    assert (metrics.startup, metrics.elapsed, metrics.waited) == (10.0, 6.0, 3.0)
    assert metrics.mean(Gauge.ENGINE) == pytest.approx(3 / 6)
    assert metrics.mean(Gauge.PREPARERS) == pytest.approx(2)
    assert metrics.seconds["engine"] == 3.0
    assert metrics.engine == {"restarts": 1}


def test_the_engine_waited_no_longer_than_it_counts_itself_and_no_less_than_it_was_let():
    """An answer reaches us after the engine is free, which a busy machine delays: that much less is seen."""
    meter = Meter()
    engine = FakeEngine(ModelSettings(name="fake", path="fake"), EngineSettings(name="fake", args={"rate": 200}))
    metered = InstrumentedEngine(engine, meter)
    payload = Payload(data="00", nbytes=2, prompt_tokens=1)

    async def scenario():
        for _ in range(5):
            await asyncio.gather(*(metered.judge(payload, QUESTION) for _ in range(3)))
            await asyncio.sleep(0.02)

    asyncio.run(scenario())
    metrics = meter.snapshot(metered.metrics())
    assert 4 * 0.02 <= metrics.waited <= metrics.engine["idle_seconds"]
    assert metrics.elapsed >= metrics.engine["busy_seconds"] + metrics.waited - 0.001
    assert metrics.highest["engine"] == 3


@pytest.mark.slow
def test_an_engine_that_is_fed_slowly_waits(shards, tmp_path, monkeypatch):
    """40 pictures that take 30 ms each to render, for an engine of 1,000 a second."""
    monkeypatch.setattr(run_worker, "make_engine", SlowlyPrepared)
    run = opened(shards, tmp_path / "run", "engine.args.rate=1000")
    annotate(run)
    metrics = read_metrics(run.store)
    assert metrics.engine["busy_seconds"] < metrics.waited <= metrics.engine["idle_seconds"]
    assert metrics.limit == "preparation"
    assert metrics.each(Step.RENDER) >= 0.03


def test_every_stage_and_queue_of_a_run_is_measured(shards, tmp_path):
    run = opened(shards, tmp_path / "run", "engine.args.latency=0.01", "engine.max_requests=8")
    outcome = annotate(run)
    metrics = read_metrics(run.store)
    assert metrics.samples == outcome.tally.rows == 40
    assert metrics.workers == 1
    passes = {Step.SCORE, Step.CONTINUE}  # the fake engine has none
    assert {s for s in Step if metrics.seconds[s] <= 0} == passes
    assert all(metrics.depth[g] > 0 for g in Gauge)
    assert 1 < metrics.highest["flight"] <= 8
    assert metrics.highest["engine"] <= 8
    assert metrics.bytes_rendered == 40 * 64
    assert metrics.engine["requests"] == 40
    assert metrics.engine["restarts"] == 0
    assert json.loads(run.store.read(TOTAL))["samples"] == 40


@pytest.mark.slow
def test_a_resumed_run_counts_all_of_its_workers(shards, tmp_path):
    folder = tmp_path / "run"
    first = opened(shards, folder)
    annotate(first)
    for name in first.store.names("commits/drawings")[:1]:
        first.store.delete(f"commits/drawings/{name}")
        first.store.delete(f"annotations/drawings/{name.removesuffix('.json')}.parquet")
    second = opened(shards, folder)
    annotate(second)
    names = second.store.names(WORKERS)
    assert len(names) == 2
    metrics = read_metrics(second.store)
    assert (metrics.workers, metrics.samples, metrics.engine["requests"]) == (2, 60, 60)
    each = [Metrics(**json.loads(second.store.read(f"{WORKERS}/{name}"))["metrics"]) for name in names]
    assert metrics.elapsed == pytest.approx(sum(m.elapsed for m in each))
    assert json.loads(second.store.read(TOTAL))["samples"] == 60


@pytest.mark.slow
def test_rates_of_another_setup_do_not_count(shards, tmp_path):
    folder = tmp_path / "run"
    run = opened(shards, folder, "engine.max_requests=4")
    annotate(run)
    other = opened(shards, folder, "engine.max_requests=5")
    assert read_metrics(run.store, setup_of(run.settings, run.fingerprints)).samples == 40
    assert read_metrics(run.store, setup_of(other.settings, other.fingerprints)) == Metrics()


def test_a_total_written_while_another_worker_ends_holds_both(tmp_path):
    class Busy(LocalStore):
        """A folder in which another worker ends between the folding and the writing of the total."""

        def replace(self, name, data):
            """As `Store`."""
            if name == TOTAL and not self.exists(f"{WORKERS}/b.json"):
                put(self, "b", ONE)
            super().replace(name, data)

    store = Busy(tmp_path)
    put(store, "a", ONE)
    assert write_total(store) == ONE + ONE
    assert json.loads(store.read(TOTAL))["samples"] == 20


def test_the_total_is_written_also_where_others_never_stop_writing(tmp_path):
    class Busy(LocalStore):
        """Another worker writes whenever this one reads."""

        def read(self, name: str) -> bytes:
            found = super().read(name)
            if name.startswith(WORKERS):
                record = json.loads(found)
                record["metrics"]["samples"] += 1
                self.replace(name, json.dumps(record).encode())
            return found

    store = Busy(tmp_path)
    store.replace(f"{WORKERS}/a.json", json.dumps({"setup": "x", "metrics": asdict(Metrics(workers=1))}).encode())
    assert write_total(store).workers == 1
    assert json.loads(store.read(TOTAL))["workers"] == 1


def put(store, worker, metrics):
    record = {"worker": worker, "setup": "s", "metrics": {f: getattr(metrics, f) for f in metrics.__slots__}}
    store.replace(f"{WORKERS}/{worker}.json", json.dumps(record).encode())


@pytest.mark.slow
def test_a_line_a_second_says_what_happened_in_it_and_the_last_the_rest(shards, tmp_path):
    """40 samples take the engine two seconds or more, so that a second passes before all are done."""
    run = opened(shards, tmp_path / "run", "engine.args.rate=20")
    annotate(run)
    (name,) = run.store.names(SECONDS)
    lines = [json.loads(line) for line in run.store.read(f"{SECONDS}/{name}").splitlines()]
    assert len(lines) >= 2
    assert sum(line["samples"] for line in lines) == 40
    assert all(0 <= line["waited"] <= 1 for line in lines)
    assert sum(line["engine"] for line in lines) > 0
    engine = read_metrics(run.store).seconds[Step.ENGINE]
    assert sum(line["engine_seconds"] for line in lines) == pytest.approx(engine, abs=1e-4 * len(lines))


@pytest.mark.slow
def test_the_summary_says_what_set_the_pace(shards, tmp_path, capsys):
    run_command.main(fake_run(shards, tmp_path / "run", "engine.args.rate=50")[1:])
    printed = capsys.readouterr().out
    assert re.search(r"pace        \d+\.\d images/s, set by the engine, which waited \d+\.\d% of the time\n", printed)


@pytest.mark.slow
def test_a_worker_says_where_its_images_spent_their_time(shards, tmp_path, capsys):
    annotate_command.main(fake_run(shards, tmp_path / "run", "engine.args.rate=50")[1:])
    printed = capsys.readouterr().out
    assert re.search(r"engine      waited \d+\.\d% of the time", printed)
    assert "an image    read " in printed
