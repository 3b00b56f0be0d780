"""Under load: memory stays as it is, overload is told and passes, engines that die cost no wrong answer."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import threading

import psutil
import pytest

from curate.engines.fake import FakeEngine
from curate.engines.supervised import SupervisedEngine
from tests.support.load import ask
from tests.support.scale_of_trials import full_or_share
from tests.support.services import data_url, free_port, png, serving, until_ready
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.slow

REQUESTS = full_or_share(20_000, 3_000)
KILLS = 20


def request(number):
    return {"json": {"image": data_url(png(number))}}


def test_memory_is_flat_over_many_requests():
    port = free_port()
    command = [sys.executable, "-m", "curate", "serve", "engine=fake", f"serve.port={port}", "serve.log=false"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def held():
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        return sum(one.memory_info().rss for one in family)

    try:
        until_ready(process, url)
        first = REQUESTS // 3
        assert ask(f"{url}/v1/judge", request, range(first), 64).statuses == {200: first}
        before = held()
        load = ask(f"{url}/v1/judge", request, range(first, REQUESTS), 64)
        assert load.statuses == {200: REQUESTS - first}
        assert held() < before * 1.05 + 2**23
    finally:
        process.terminate()
        assert process.wait(HANG_SECONDS) == 0


def test_overload_is_told_at_once_and_passes():
    with serving("policy=llavaguard", fake={"rate": 100}, max_held=16) as service:
        load = ask(f"{service.url}/v1/judge", request, range(600), 256)
        assert set(load.statuses) == {200, 429}
        assert load.statuses[429] > 100
        again = ask(f"{service.url}/v1/judge", request, range(16), 8)
        assert again.statuses == {200: 16}
        assert service.service.admission.images == service.service.judge.in_flight == 0


def test_engines_that_die_under_load_cost_errors_and_no_wrong_answer(monkeypatch):
    """A fake engine that is killed at random moments, for what a kill leaves in flight; vLLM's are killed elsewhere."""
    alive, kills = [], []
    original = FakeEngine.start

    async def start(self):
        await original(self)
        alive.append(self)

    monkeypatch.setattr(FakeEngine, "start", start)
    monkeypatch.setattr(SupervisedEngine.__init__, "__kwdefaults__", {"back_off": 0.001})
    with serving("policy=llavaguard", fake={"latency": 0.01}) as service:
        expected = {n: service.judge(png(n)).json() for n in range(60)}
        done, chance = threading.Event(), random.Random(0)

        def kill():
            while not done.wait(chance.uniform(0.01, 0.1)) and len(kills) < KILLS:
                alive[-1]._dead = True
                kills.append(len(alive))

        killer = threading.Thread(target=kill)
        killer.start()
        while len(kills) < KILLS:
            load = ask(f"{service.url}/v1/judge", request, range(60), 24, keep=True)
            for number, answer in load.answers.items():
                if "error" in answer:
                    assert answer["error"]["code"] in ("engine_failure", "engine_unavailable", "not_ready"), answer
                else:
                    assert answer == expected[number]
                    assert answer["sha256"] == hashlib.sha256(png(number)).hexdigest()
            assert len(load.answers) == 60
        done.set()
        killer.join()
        assert ask(f"{service.url}/v1/judge", request, range(60), 24).statuses == {200: 60}
        assert service.service.judge.metrics()["restarts"] > 1
