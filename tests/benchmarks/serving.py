"""The moderation service against `vllm serve`: the same pictures, policy and answer, a rating and a category.

Both run at once, and are asked in turn, so that a drifting machine meets both alike: one client, 8, 64 and 256 at once.
Pictures are new to both each time. `vllm serve` gives the answer in one request under a grammar; the service asks its
engine twice, which buys the rating's probability, decides by the filter's rules, and answers by OpenAI's moderations.

Behind that, the service alone over the fake engine, where nothing but the service takes time: its rate, its memory over
20,000 requests, and how soon it refuses when it holds no more.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.benchmarks.generating import judged
from tests.benchmarks.judging import engine_environment, judge_settings, question
from tests.benchmarks.measuring import Ratio, Result, photograph
from tests.benchmarks.served import MODEL, forget, served, task_for
from tests.support.load import Load, ask
from tests.support.services import data_url, free_port, png

CLIENTS = {1: 24, 8: 80, 64: 192, 256: 256}
"""Pictures that are asked about in one round, by the number of clients."""
REPEATS = 2
REQUESTS = 20_000
SERVICE, PEER = "curate serve", "vllm serve"


def run(folder: Path) -> Result:
    """Rates at each number of clients, and the service's own part."""
    result = Result(
        name="serving", unit="images/s", checked="ratings and categories of both on the first round's pictures"
    )
    _against_vllm(folder, result)
    _alone(result)
    return result


def _against_vllm(folder: Path, result: Result) -> None:
    settings = judge_settings("model.rationale=none")
    images = [photograph(seed, 224, 224) for seed in range(sum(CLIENTS.values()) * (REPEATS + 1))]
    task = task_for("", folder, settings)

    def of_service(number: int) -> Mapping[str, Any]:
        url = data_url(images[number], "image/jpeg")
        return {"json": {"input": [{"type": "image_url", "image_url": {"url": url}}]}}

    def of_peer(number: int) -> Mapping[str, Any]:
        parts = [
            {"type": "image_url", "image_url": {"url": data_url(images[number], "image/jpeg")}},
            {"type": "text", "text": task["text"]},
        ]
        options = {k: v for k, v in task["options"].items() if k != "extra_body"} | task["options"]["extra_body"]
        return {"json": {"model": MODEL, "messages": [{"role": "user", "content": parts}], **options}}

    with service() as url, served(settings, folder) as peer:
        contenders: dict[str, Callable[[range, int], Load]] = {
            SERVICE: lambda numbers, clients: ask(f"{url}/v1/moderations", of_service, numbers, clients, keep=True),
            PEER: lambda numbers, clients: ask(f"{peer}/chat/completions", of_peer, numbers, clients, keep=True),
        }
        loads: dict[tuple[str, int], list[Load]] = {}
        begun = 0
        for clients, amount in CLIENTS.items():
            for number in range(REPEATS + 1):
                forget(peer)
                numbers = range(begun, begun + amount)  # which neither has seen
                begun += amount
                for name, load in contenders.items():
                    loaded = load(numbers, clients)
                    assert set(loaded.statuses) == {200}, loaded.statuses
                    loads.setdefault((name, clients), []).append(loaded)
                    print(f"  {name}, {clients} clients, round {number}: {loaded.rate:.1f} images/s", flush=True)
    result.notes["ratings that differ"] = _differing(loads[SERVICE, 64][0], loads[PEER, 64][0], settings)
    for (name, clients), rounds in loads.items():
        timed = rounds[1:]
        result.rates[f"{name}, {clients} clients"] = [load.rate for load in timed]
        ranks = [statistics.median(load.percentile(p) for load in timed) for p in (50, 95, 99)]
        result.notes[f"{name}, {clients} clients: ms at p50, p95, p99"] = ", ".join(f"{ms:.0f}" for ms in ranks)
    for clients in CLIENTS:
        ratio = result.ratio(f"{SERVICE}, {clients} clients", f"{PEER}, {clients} clients")
        result.ratios[f"images/s with {clients} clients, of vllm serve's"] = Ratio(value=ratio, at_least=0.95)
    first = {name: statistics.median(load.percentile(50) for load in loads[name, 1][1:]) for name in contenders}
    result.ratios["p50 of one client, of vllm serve's"] = Ratio(value=first[SERVICE] / first[PEER], at_most=1.0)


def _differing(ours: Load, theirs: Load, settings: Any) -> str:
    asked, differ = question(settings), 0
    for number, answer in ours.answers.items():
        said = answer["results"][0]["curate"]
        other = judged(theirs.answers[number]["choices"][0]["message"]["content"], asked)
        differ += (said["rating"], said["category"]) != (other.rating, other.category)
    return f"{differ} of {len(ours.answers)}"


def _alone(result: Result) -> None:
    def request(number: int) -> Mapping[str, Any]:
        return {"json": {"input": [{"type": "image_url", "image_url": {"url": data_url(png(number))}}]}}

    with service("engine=fake") as url:
        path = f"{url}/v1/moderations"
        ask(path, request, range(2000), 64)
        before = _held(url)
        load = ask(path, request, range(2000, 2000 + REQUESTS), 64)
        assert set(load.statuses) == {200}
        result.rates["the service alone (fake engine), 64 clients"] = [load.rate]
        name = f"memory after {REQUESTS:,} requests, of that before them"
        result.ratios[name] = Ratio(value=_held(url) / before, at_most=1.05)
    with service("engine=fake", "+engine.args.rate=100", "serve.max_held=16") as url:
        path = f"{url}/v1/moderations"
        load = ask(path, request, range(3000), 256)
        slowest = max(load.refused)
        result.notes["256 clients where 16 pictures are held: answered, refused"] = (
            f"{load.statuses[200]:,}, {load.statuses[429]:,}"
        )
        result.ratios["seconds until the slowest refusal"] = Ratio(value=slowest, at_most=1.0)
        again = ask(path, request, range(16), 8)
        result.notes["answered right behind it, of 16"] = float(again.statuses[200])


@contextmanager
def service(*overrides: str) -> Iterator[str]:
    """URL of a service, as a program, until the context is left."""
    port = free_port()
    command = [sys.executable, "-m", "curate", "serve", f"serve.port={port}", "serve.log=false", *overrides]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=engine_environment())
    url = f"http://127.0.0.1:{port}"
    try:
        while not _ready(url):
            assert process.poll() is None, "the service ended"
            time.sleep(0.2)
        _PIDS[url] = process.pid
        yield url
    finally:
        process.terminate()
        process.wait(60)


_PIDS: dict[str, int] = {}


def _held(url: str) -> int:
    """Bytes of memory of the service and its workers."""
    process = psutil.Process(_PIDS[url])
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False
