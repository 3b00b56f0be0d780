"""SIGKILL of a run with vLLM, or of vLLM's own engine process, at a random moment: the rows of an undisturbed run."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.engine_processes import engine_of
from tests.support.jobs import command, curate, environment, rows, write_shards
from tests.support.scale_of_trials import full_or_share
from tests.support.vllm_equality import compare
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.vllm

TRIALS = full_or_share(10, 1)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("data"), 3, 8)


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory):
    """Rows of a run that nothing happened to, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    started = time.monotonic()
    curate(*run(shards, folder))
    return rows(folder), time.monotonic() - started


@pytest.mark.parametrize("seed", range(TRIALS))
def test_a_run_killed_at_a_random_moment_goes_on_to_the_same_rows(shards, undisturbed, tmp_path, seed):
    """Seeds take turns between the worker, which a second start replaces, and the engine, which the worker replaces."""
    expected, seconds = undisturbed
    chance = random.Random(seed)
    process = subprocess.Popen(command(*run(shards, tmp_path / "run")), env=environment(), stderr=subprocess.PIPE)
    moment = time.monotonic() + seconds * chance.uniform(0.3, 1)
    while time.monotonic() < moment and process.poll() is None:
        time.sleep(0.05)
    victim = (engine_of(process.pid) if seed % 2 else None) or process
    victim.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=HANG_SECONDS)
    if process.returncode != 0:
        assert victim is process or b"Traceback" not in errors, errors.decode()
        curate(*run(shards, tmp_path / "run"))
    compare(rows(tmp_path / "run"), expected)
    curate("verify", f"output.dir={tmp_path / 'run'}")


def run(shards: str, folder: Path) -> list[str]:
    # Few requests at a time, so that judging takes long enough to be hit.
    return ["run", "+dataset=laion_subset", f"dataset.shards={shards}", f"output.dir={folder}", "engine.max_requests=2"]
