"""The built-in safeguard as a service, through vLLM: the verdicts are those of `judge`, with and without rationales."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from curate.core.package_files import packaged
from curate.guard import Guard
from tests.support.engine_processes import engine_of
from tests.support.jobs import curate
from tests.support.load import ask as under_load
from tests.support.scale_of_trials import full_or_share
from tests.support.services import data_url, free_port, until_ready
from tests.support.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.vllm

PICTURES = 24
KILLS = full_or_share(20, 2)
NEAR = 0.02
"""vLLM's numerics depend on which requests share a batch."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    with tarfile.open(packaged("data/laion_subset/00000.tar")) as tar:
        members = [m for m in tar.getmembers() if m.name.endswith((".jpg", ".png", ".webp"))][:PICTURES]
        for member in members:
            (folder / Path(member.name).name).write_bytes(tar.extractfile(member).read())
    return sorted(folder.iterdir())


class Service:
    """A service as a program, and the process that it is."""

    def __init__(self, url, pid):
        self.url = url
        self.pid = pid


@pytest.fixture(scope="module")
def service():
    port = free_port()
    command = [sys.executable, "-m", "curate", "serve", f"serve.port={port}", "serve.log=false"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}"

    until_ready(process, url)
    yield Service(url, process.pid)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0, errors


def test_verdicts_are_those_of_judge(service, pictures):
    lines = curate("judge", *map(str, pictures), "format=json").stdout.splitlines()
    judged = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(judged) == len(pictures)

    def ask(path, rationale):
        fields = {"rationale": rationale}
        return httpx.post(
            f"{service.url}/v1/judge", files={"image": path.read_bytes()}, data=fields, timeout=HANG_SECONDS
        ).json()

    for rationale in ("none", "all"):
        with ThreadPoolExecutor(16) as threads:
            rows = list(threads.map(lambda path, mode=rationale: ask(path, mode), pictures))
        for row, expected in zip(rows, judged, strict=True):
            if expected["detail"] is not None:  # the sample has pictures that are broken
                assert row["curate"]["blocked"]
                assert row["curate"]["status"] == expected["status"]
                continue
            assert row["sha256"] == expected["sha256"]
            assert row["status"] == expected["status"] == "labelled"
            assert row["p_unsafe"] == pytest.approx(expected["p_unsafe"], abs=NEAR)
            if abs(expected["p_unsafe"] - 0.5) > NEAR:
                assert row["rating"] == expected["rating"]
                assert row["blocked"] == (expected["rating"] == "Unsafe")
            assert (row["rationale"] is None) == (rationale == "none")
    assert {row.get("rating") for row in rows} > {"Safe", "Unsafe"}


@pytest.mark.filterwarnings("ignore::curate.guard.GuardWarning")
def test_a_guard_asks_it(service, pictures):
    with Guard(url=service.url) as guard:
        decisions = guard(pictures)
    assert all(decision.blocked for decision in decisions if not decision.judged)
    assert {decision.rating for decision in decisions} >= {"Safe", "Unsafe"}


def test_engines_that_are_killed_under_load_cost_errors_and_no_wrong_answer(service, pictures):
    """Every request ends in a verdict on its own picture, or in an error; the next engine judges on."""
    images = [path.read_bytes() for path in pictures]
    chance = random.Random(0)

    def request(number):
        return {"json": {"image": data_url(images[number % len(images)])}}

    def judged():
        return under_load(f"{service.url}/v1/judge", request, range(len(images)), 8, keep=True).answers

    expected = judged()
    for _ in range(KILLS):
        before = engine_of(service.pid)
        killing = threading.Timer(chance.uniform(0.1, 1.5), before.kill)
        killing.start()
        load = under_load(f"{service.url}/v1/judge", request, range(8 * len(images)), 16, keep=True)
        killing.join()
        assert len(load.answers) == 8 * len(images)
        for number, answer in load.answers.items():
            wanted = expected[number % len(images)]
            if "error" in answer and "error" not in wanted:
                assert answer["error"]["code"] in ("deadline_exceeded", "engine_failure"), answer
            elif "error" not in wanted:
                assert answer["sha256"] == wanted["sha256"]
                assert answer["p_unsafe"] == pytest.approx(wanted["p_unsafe"], abs=NEAR)
        wait_until(lambda old=before: engine_of(service.pid) not in (None, old), "there is no new engine")
        assert [a.get("sha256") for _, a in sorted(judged().items())] == [
            a.get("sha256") for _, a in sorted(expected.items())
        ]
