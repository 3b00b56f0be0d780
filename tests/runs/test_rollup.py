"""What `status` says without listing the commits, and when it does not believe it."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.cli.program import main
from curate.runs.claims import WORKERS, Claims
from curate.runs.commits import commit_name, read_commit
from curate.runs.reopening import Reopening, reopen_for_retry
from curate.runs.rollup import Rollup, from_ranges, roll_up, to_ranges
from curate.telemetry import status as status_module
from curate.telemetry.status import read_status
from curate.testing.faulty_store import Fault, FaultyStore
from tests.support.filtering_cases import laion_members, write_tar
from tests.support.verification_cases import judge, make_run

NEVER = Fault(at=10**9, errno=errno.EIO)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return [write_tar(folder / f"{n:05d}.tar", laion_members(6 * n, 6)) for n in range(4)]


@pytest.fixture
def run(data, tmp_path):
    """Four shards under two policies."""
    return make_run(tmp_path / "run", data, policies=("p", "q"))


@pytest.fixture
def calls(monkeypatch):
    """Calls that `status` makes of the store."""
    opened = []

    def load(folder):
        run = status_module_load(folder)
        opened.append(FaultyStore(run.store, NEVER))
        return replace(run, store=opened[-1])

    status_module_load = status_module.load_run
    monkeypatch.setattr(status_module, "load_run", load)
    return lambda: opened[-1].log


def status(run, **more):
    return read_status(Path(run.store.uri("")), **more)


@given(st.lists(st.booleans(), max_size=50))
def test_ranges_say_what_flags_say(flags):
    found = np.zeros(len(flags), dtype=np.bool_)
    for start, end in from_ranges(to_ranges(np.array(flags, dtype=np.bool_))):
        found[start:end] = True
    assert found.tolist() == flags


def test_a_finished_run_is_told_without_listing_a_commit(run, calls):
    judge(run)
    found = status(run)
    assert found.done == {"p": 4, "q": 4}
    assert not found.exact
    assert found.failed == found.running == found.stale == 0
    assert not [call for call in calls() if "commits" in call]


def test_the_calls_grow_with_workers_and_not_with_shards(run, calls):
    def made(workers):
        for number in range(workers):
            Claims(run.store, f"w{number}").beat(Rollup(run.store, run.plan.shards, ["p", "q"]).record())
        status(run)
        return len(calls())

    one = made(1)
    judge(run, run.plan.shards[:3])
    for path in Path(run.store.uri(WORKERS)).iterdir():
        path.unlink()
    assert made(1) == one
    # Each is read once, and once more to see whether it lives.
    assert made(11) == one + 20


def test_a_shard_that_two_workers_finished_counts_once(run):
    for worker in ("a", "b"):
        known = Rollup(run.store, run.plan.shards, ["p", "q"])
        known.saw("p", [run.plan.shards[1].id, run.plan.shards[2].id])
        Claims(run.store, worker).beat(known.record())
    assert status(run).done == {"p": 2, "q": 0}


def test_what_a_dead_worker_did_not_report_is_in_the_next_listing(run):
    judge(run, run.plan.shards[:3])
    (heartbeat,) = Path(run.store.uri(WORKERS)).iterdir()
    record = json.loads(heartbeat.read_text())
    record["progress"]["finished"] = {"p": "0-0", "q": "0-0"}
    heartbeat.write_text(json.dumps(record))
    assert status(run).done == {"p": 1, "q": 1}
    assert status(run, exact=True).done == {"p": 3, "q": 3}
    roll_up(run.store, run.plan.shards, run.fingerprints)
    assert status(run).done == {"p": 3, "q": 3}
    assert not status(run).exact


@pytest.mark.parametrize("how", ["retry", "mended"])
def test_shards_that_are_judged_again_are_not_done_whatever_workers_said(run, how):
    judge(run)
    shard = run.plan.shards[1].id
    if how == "mended":
        with Reopening(run.store) as reopening:
            assert reopening.discard(shard, "another version")
    else:
        commit = read_commit(run.store, "p", shard)
        edited = replace(commit, statuses={"labelled": 5, "engine_failure": 1})
        run.store.replace(commit_name("p", shard), edited.to_json())
        assert reopen_for_retry(run.store, "p", frozenset({"engine_failure"})) == 1
    found = status(run)
    assert found.exact
    assert found.done == ({"p": 3, "q": 3} if how == "mended" else {"p": 3, "q": 4})
    judge(run)
    assert status(run).done == {"p": 4, "q": 4}
    assert not status(run).exact


def test_without_work_the_commits_are_counted(run):
    judge(run, run.plan.shards[:1])
    for path in Path(run.store.uri(WORKERS)).iterdir():
        path.unlink()
    found = status(run)
    assert found.exact
    assert found.done == {"p": 1, "q": 1}


def test_shards_of_unknown_length_are_taken_to_be_like_the_finished_ones(run):
    judge(run, run.plan.shards[:3])
    (heartbeat,) = Path(run.store.uri(WORKERS)).iterdir()
    record = json.loads(heartbeat.read_text())
    record["ended"] = False
    record["progress"] |= {"rows": 36, "seconds": 6.0}
    heartbeat.write_text(json.dumps(record))
    found = status(run)
    assert found.rate == pytest.approx(6.0)
    assert found.eta == pytest.approx(6 * 2 / 6.0)


def test_the_command_says_where_its_numbers_come_from(run, tmp_path, capsys):
    judge(run)
    folder = f"output.dir={tmp_path / 'run'}"
    assert main(["status", folder]) == 0
    assert "as the workers last said" in capsys.readouterr().out
    assert main(["status", folder, "exact=true"]) == 0
    assert "as the workers last said" not in capsys.readouterr().out
    assert main(["status", folder, "exact=2"]) == 2
    assert "exact=2" in capsys.readouterr().err
