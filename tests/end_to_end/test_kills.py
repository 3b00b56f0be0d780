"""Kills at random moments cost nothing but time; CURATE_RELIABILITY=full runs all trials instead of CI's share."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.support.jobs import curate, fake_run, write_shards
from tests.support.kills import differences, trial
from tests.support.scale_of_trials import full_or_share
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.slow

TRIALS = full_or_share(200, 20)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("data"), 6, 40)


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    curate("annotate", *fake_run(shards, folder)[1:])
    return folder


@pytest.fixture(scope="module")
def fresh_process():
    """Runs trials in a process that has imported them and started nothing."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.mark.parametrize("seed", range(TRIALS))
def test_killed_workers_leave_the_same_tables(shards, undisturbed, tmp_path, fresh_process, seed):
    # Every third trial decodes in worker processes, which must end with their parent.
    workers = "engine.workers=1" if seed % 3 == 2 else "engine.workers=0"
    fresh_process.submit(trial, seed, shards, tmp_path / "run", workers).result(timeout=HANG_SECONDS)
    assert differences(tmp_path / "run", undisturbed) == []
