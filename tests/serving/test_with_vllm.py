"""The built-in safeguard as a service, through vLLM: the verdicts are those of `judge`, with and without rationales."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from curate.core.package_files import packaged
from curate.guard import Guard
from tests.support.jobs import curate
from tests.support.services import free_port
from tests.support.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.vllm

PICTURES = 24
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


@pytest.fixture(scope="module")
def service():
    port = free_port()
    command = [sys.executable, "-m", "curate", "serve", f"serve.port={port}", "serve.log=false"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}"

    def ready():
        try:
            return httpx.get(f"{url}/ready").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(ready, "the service is not ready", alive=process)
    yield url
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
            f"{service}/v1/judge", files={"image": path.read_bytes()}, data=fields, timeout=HANG_SECONDS
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
    with Guard(url=service) as guard:
        decisions = guard(pictures)
    assert all(decision.blocked for decision in decisions if not decision.judged)
    assert {decision.rating for decision in decisions} >= {"Safe", "Unsafe"}
