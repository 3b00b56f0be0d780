"""Kills at random moments cost nothing but time; CURATE_RELIABILITY=full runs all trials instead of CI's share."""

from __future__ import annotations

import os

import pytest

from tests.jobs import curate, fake_run, write_shards
from tests.kills import differences, trial

pytestmark = pytest.mark.slow

TRIALS = 200 if os.environ.get("CURATE_RELIABILITY") == "full" else 20


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("data"), 6, 40)


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    curate("annotate", *fake_run(shards, folder)[1:])
    return folder


@pytest.mark.parametrize("seed", range(TRIALS))
def test_killed_workers_leave_the_same_tables(shards, undisturbed, tmp_path, seed):
    # Every third trial decodes in worker processes, which must end with their parent.
    workers = "engine.workers=1" if seed % 3 == 2 else "engine.workers=0"
    trial(seed, shards, tmp_path / "run", workers)
    assert differences(tmp_path / "run", undisturbed) == []
