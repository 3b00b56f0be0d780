"""Two workers that share nothing but a folder, as on two hosts: other processes, other names, clocks hours apart."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest

from tests.support.jobs import annotation_files, curate, environment, fake_run, judged, write_shards
from tests.support.waiting import HANG_SECONDS, wait_until

NAMESPACES = ["unshare", "--pid", "--fork", "--mount-proc", "--uts", "--kill-child"]


def unavailable() -> str | None:
    """Why there can be no second host here; None where there can."""
    if shutil.which("unshare") is None:
        return "no unshare"
    tried = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() or None if tried.returncode else None


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(unavailable() is not None, reason=f"no namespaces: {unavailable()}"),
]

# The package asks for the time of day by time.time() alone; files get their times from the one kernel, as on a server.
HOST = """
import sys, time
real = time.time
time.time = lambda: real() + {hours} * 3600
from curate.cli.program import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("data"), 6, 30)


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    curate("annotate", *fake_run(shards, folder)[1:])
    return folder


def host(hours, *arguments):
    """A worker on a host whose clock is `hours` ahead."""
    script = HOST.format(hours=hours)
    command = [*NAMESPACES, sys.executable, "-c", script, "annotate", *arguments]
    return subprocess.Popen(command, env=environment(), start_new_session=True, stderr=subprocess.PIPE, text=True)


SLOW = ("engine.args.latency=0.05", "engine.max_requests=2", "engine.shards_in_flight=1")
SLOWER = ("engine.args.latency=0.2", *SLOW[1:])
"""Enough work for two, even if one starts a good while after the other."""


def test_clocks_two_hours_apart_do_not_break_a_lease(shards, undisturbed, tmp_path):
    folder = tmp_path / "run"
    # A lease that outlasts any pause of a busy machine, and is short beside the hours.
    arguments = fake_run(shards, folder, *SLOWER, "job.lease=60")[1:]
    workers = [host(1, *arguments), host(-1, *arguments)]
    assert [w.wait(timeout=HANG_SECONDS) for w in workers] == [0, 0], [w.stderr.read() for w in workers]
    assert annotation_files(folder) == annotation_files(undisturbed)
    assert sum(judged(folder).values()) == 180, "no sample was judged twice, so no live worker lost a claim"
    assert min(judged(folder).values()) > 0, "both had work"


def test_a_worker_that_wakes_up_after_its_lease_spoils_nothing(shards, undisturbed, tmp_path):
    folder = tmp_path / "run"
    arguments = fake_run(shards, folder, *SLOW, "job.lease=2")[1:]
    sleeper = host(0, *arguments)
    wait_until(lambda: list(folder.glob("work/claims/*")), "no shard was claimed", alive=sleeper)
    os.killpg(sleeper.pid, signal.SIGSTOP)
    assert host(0, *arguments).wait(timeout=HANG_SECONDS) == 0
    finished = annotation_files(folder)
    assert finished == annotation_files(undisturbed)
    os.killpg(sleeper.pid, signal.SIGCONT)
    assert sleeper.wait(timeout=HANG_SECONDS) == 0, sleeper.stderr.read()
    assert annotation_files(folder) == finished
