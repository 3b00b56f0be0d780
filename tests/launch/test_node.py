"""Several engine processes started by one command: the same result, and nothing left behind, whatever ends."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager
from multiprocessing import Pipe
from types import SimpleNamespace

import psutil
import pytest

from curate.launch import node
from curate.launch.node import UNLIMITED, EngineProcess
from curate.telemetry.failure_budget import Tally
from tests.support.jobs import annotation_files, command, curate, environment, fake_run, judged, write_shards
from tests.support.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.slow

TWO = ("engine.processes=2",)
SLOW = (*TWO, "engine.args.latency=0.3", "engine.max_requests=4")
SHARDS_EACH = 2
"""The default of engine.shards_in_flight."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("data"), 6, 20)


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory):
    """The tables of one process."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    curate(*fake_run(shards, folder))
    return annotation_files(folder)


@contextmanager
def running(shards, folder, *more):
    """A run in a process group of its own, once both of its engine processes hold shards."""
    process = subprocess.Popen(command(*fake_run(shards, folder, *more)), env=environment(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, start_new_session=True)  # fmt: skip
    try:
        wait_until(
            lambda: len(list(folder.glob("work/claims/*"))) > SHARDS_EACH,
            "not both engine processes held shards",
            alive=process,
        )
        yield process
    finally:
        process.kill()
        process.communicate()


def engines_of(process):
    """The engine processes, which are those that the command started with the arguments of `multiprocessing`."""
    try:
        children = psutil.Process(process.pid).children()
        return [c for c in children if "spawn_main" in " ".join(c.cmdline())]
    except psutil.NoSuchProcess:
        return []


def test_two_processes_share_the_shards_and_the_cores(shards, undisturbed, tmp_path):
    with running(shards, tmp_path / "run", *SLOW) as process:
        affinities = [set(engine.cpu_affinity()) for engine in engines_of(process)]
        assert process.wait(timeout=HANG_SECONDS) == 0, process.stderr.read()
    assert annotation_files(tmp_path / "run") == undisturbed
    assert set.union(*affinities) == os.sched_getaffinity(0)
    if len(os.sched_getaffinity(0)) > 1:
        assert not set.intersection(*affinities)


def test_the_progress_is_that_of_both(shards, tmp_path):
    done = curate("annotate", *fake_run(shards, tmp_path / "run", *TWO)[1:])
    assert done.stdout.startswith("judged 120 samples")
    assert ", 6 without a label" in done.stdout


def test_what_a_killed_process_held_is_taken_over(shards, undisturbed, tmp_path):
    with running(shards, tmp_path / "run", *SLOW) as process:
        engines_of(process)[1].kill()
        _, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0, errors
    assert "engine process 1: died (SIGKILL)" in errors
    assert annotation_files(tmp_path / "run") == undisturbed


def test_where_all_are_killed_the_rest_is_named_and_done_by_the_next_run(shards, undisturbed, tmp_path):
    with running(shards, tmp_path / "run", *SLOW) as process:
        for engine in engines_of(process):
            engine.kill()
        _, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 1
    assert "shards are left: run the same command again" in errors
    curate(*fake_run(shards, tmp_path / "run", *TWO))
    assert annotation_files(tmp_path / "run") == undisturbed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_drains_every_process(shards, undisturbed, tmp_path, number):
    folder = tmp_path / "run"
    with running(shards, folder, *SLOW, "job.lease=4") as process:
        wait_until(lambda: any(judged(folder).values()), "no sample was judged", alive=process)
        engines = engines_of(process)
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 75, errors
    assert "died" not in errors
    assert psutil.wait_procs(engines, timeout=HANG_SECONDS)[1] == []
    assert not list((folder / "work/claims").iterdir()), "claims are given back"
    assert list((folder / "work/parts").rglob("*.parquet")), "what was finished is kept"
    curate(*fake_run(shards, folder, *TWO))
    assert annotation_files(folder) == undisturbed


def test_a_second_ctrl_c_does_not_wait(shards, tmp_path):
    with running(shards, tmp_path / "run", *TWO, "engine.args.latency=300") as process:
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=HANG_SECONDS) == 75, process.stderr.read()


def test_a_signal_while_models_load_ends_at_once(shards, tmp_path):
    """Stopped before they have imported anything, as processes that load for minutes."""
    arguments = command(*fake_run(shards, tmp_path / "run", *TWO))
    with subprocess.Popen(arguments, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: len(engines_of(process)) == 2, "not both were started", alive=process, every=0.001)
        engines = engines_of(process)
        for engine in engines:
            engine.suspend()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 75
    assert sum(line.startswith("curate: ") for line in errors.splitlines()) == 1, errors
    assert "Traceback" not in errors
    assert psutil.wait_procs(engines, timeout=HANG_SECONDS)[1] == []


def test_all_processes_end_with_their_parent(shards, undisturbed, tmp_path):
    with running(shards, tmp_path / "run", *SLOW, "engine.workers=1") as process:
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        assert psutil.wait_procs(family, timeout=HANG_SECONDS)[1] == []
    assert len(family) >= 4
    curate(*fake_run(shards, tmp_path / "run"))
    assert annotation_files(tmp_path / "run") == undisturbed


def test_the_budget_is_held_against_all_of_them(shards, tmp_path):
    """Each shard has one broken picture: neither process meets more than the budget allows, both together do."""
    done = curate(*fake_run(shards, tmp_path / "run", *SLOW, "budget.data=5"), code=3)
    assert "6 of " in done.stderr
    assert "budget.data=5" in done.stderr


@pytest.mark.parametrize("told", [True, False], ids=["has told that it begins", "still loads"])
def test_what_a_process_has_told_is_heard_before_it_is_ended(monkeypatch, told):
    """The moment cannot be met on purpose: stands in for a process that tells it while a signal arrives."""
    done = []
    monkeypatch.setattr(node.os, "kill", lambda pid, number: done.append((pid, number)))
    monkeypatch.setattr(node, "kill_with_all_below", lambda pid: done.append((pid, None)))
    ours, theirs = Pipe(duplex=False)
    process = EngineProcess(None, SimpleNamespace(pid=7, is_alive=lambda: True), ours)
    if told:
        theirs.send(Tally(UNLIMITED))
    process.send(signal.SIGTERM)
    assert done == [(7, signal.SIGTERM if told else None)], "what holds shards gives them back; what does not, ends"
