"""Ctrl-C is obeyed, whatever the program is at: it ends, or says what it finishes and that a second one ends it.

No second is asserted. The one signal has to end the program by itself, or the line has to stand there.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

import pytest

from curate.processes.interruption import STOP
from tests.support.jobs import annotation_files, command, curate, environment, fake_run, judged, rows, write_shards
from tests.support.on_a_terminal import listens, on_a_terminal
from tests.support.vllm_equality import compare
from tests.support.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.slow

GO_ON = "nothing is lost, run the same command again to go on"


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("data"), 3, 20)


@pytest.fixture(scope="module")
def finished(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    curate(*fake_run(shards, folder))
    return folder


def held_up(where, how, reached, *arguments):
    """The command line of the program with a function that never ends."""
    return [sys.executable, "-m", "tests.support.held_up", where, how, str(reached), *arguments]


def wait_until_nothing_is_left(terminal):
    wait_until(lambda: not terminal.left(), "something is left", details=lambda: "\n".join(terminal.left()))


@pytest.mark.parametrize(
    ("name", "where", "how", "phase"),
    [
        ("status", "importlib:import_module", "in_a_library", " while importing"),
        ("filter", "curate.cli.commands.filter:run_filter", "behind_threads", " while splitting"),
        ("verify", "curate.cli.commands.verify:audit", "deaf", None),
        ("verify", "curate.cli.commands.verify:audit", "behind_threads", None),
        ("compact", "curate.cli.commands.compact:compact", "in_a_library", None),
        ("run", "curate.pipeline.opening:make_plan", "deaf", " while listing the shards"),
        ("run", "curate.pipeline.opening:make_plan", "in_a_library", " while listing the shards"),
    ],
)
def test_whatever_holds_it_up_it_ends(shards, finished, tmp_path, name, where, how, phase):
    given = fake_run(shards, tmp_path / "run") if name == "run" else [name, f"output.dir={finished}"]
    with on_a_terminal(held_up(where, how, tmp_path / "reached", *given), tmp_path / "scratch") as terminal:
        wait_until((tmp_path / "reached").exists, "was not held up", alive=terminal.process)
        terminal.press_ctrl_c()
        assert terminal.wait() == 75, terminal.text
        (said,) = terminal.said()
        assert said.endswith(GO_ON)
        assert said.startswith("interrupted" if phase is None else f"interrupted{phase};")
        assert "Traceback" not in terminal.text
        wait_until_nothing_is_left(terminal)


def test_a_model_that_loads_in_a_thread_is_not_waited_for(shards, tmp_path):
    where = "curate.engines.fake:FakeEngine.start"
    arguments = fake_run(shards, tmp_path / "run", "engine.workers=1")
    program = held_up(where, "in_a_thread_of_the_loop", tmp_path / "reached", *arguments)
    with on_a_terminal(program, tmp_path / "scratch") as terminal:
        wait_until((tmp_path / "reached").exists, "was not held up", alive=terminal.process)
        terminal.press_ctrl_c()
        assert terminal.wait() == 75, terminal.text
        assert terminal.said() == [f"interrupted while loading the model; {GO_ON}"]
        assert "Traceback" not in terminal.text
        wait_until_nothing_is_left(terminal)
    curate(*arguments)


def judging(folder):
    """How many workers have had pictures in their engine in the last second that they measured."""
    written = [path.read_text().splitlines() for path in folder.glob("metrics/seconds/*.jsonl")]
    return sum(json.loads(lines[-1])["engine"] > 0 for lines in written if lines)


@pytest.mark.parametrize("engines", [1, 2])
def test_a_drain_says_what_it_finishes_and_a_second_ctrl_c_ends_it(shards, tmp_path, engines):
    folder = tmp_path / "run"
    slow = ("engine.args.latency=4000", f"engine.processes={engines}", "engine.workers=1", "job.lease=2")
    with on_a_terminal(command(*fake_run(shards, folder, *slow)), tmp_path / "scratch") as terminal:
        wait_until(lambda: judging(folder) == engines, "not every engine judges", alive=terminal.process)
        terminal.press_ctrl_c()
        terminal.wait_for("Ctrl-C again stops now")
        assert terminal.process.poll() is None, "a second one is not needed yet"
        terminal.press_ctrl_c()
        assert terminal.wait() == 75, terminal.text
        (said,) = terminal.said()
        assert said.startswith("finishing ")
        assert said.endswith(f"(Ctrl-C again stops now); {GO_ON}")
        assert "Traceback" not in terminal.text
        wait_until_nothing_is_left(terminal)
    assert not list(folder.glob("work/claims/*")), "claims are given back"


def test_what_was_finished_by_a_drain_is_kept(shards, finished, tmp_path):
    folder = tmp_path / "run"
    slow = ("engine.args.latency=0.3", "engine.max_requests=4", "job.lease=2")
    with on_a_terminal(command(*fake_run(shards, folder, *slow)), tmp_path / "scratch") as terminal:
        wait_until(lambda: any(judged(folder).values()), "no sample was judged", alive=terminal.process)
        terminal.press_ctrl_c()
        assert terminal.wait() == 75, terminal.text
        (said,) = terminal.said()
        assert said.startswith("finishing ")
        assert "Traceback" not in terminal.text
        wait_until_nothing_is_left(terminal)
    assert list(folder.glob("work/parts/*/*/*")), "what was in flight is checkpointed"
    curate(*fake_run(shards, folder))
    assert annotation_files(folder) == annotation_files(finished)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_are_heard_before_anything_is_imported(finished, tmp_path, number):
    with on_a_terminal(command("verify", f"output.dir={finished}"), tmp_path / "scratch") as terminal:
        terminal.wait_until_it_listens()
        terminal.process.send_signal(number)
        assert terminal.wait() == 75, terminal.text
        (said,) = terminal.said()
        assert said.startswith("interrupted")
        assert "Traceback" not in terminal.text
        wait_until_nothing_is_left(terminal)


def test_without_a_terminal_it_is_one_plain_line(shards, tmp_path):
    run = fake_run(shards, tmp_path / "run")
    program = held_up("curate.pipeline.opening:make_plan", "deaf", tmp_path / "reached", *run)
    with subprocess.Popen(
        program, env=environment(TMPDIR=str(tmp_path)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until((tmp_path / "reached").exists, "was not held up", alive=process)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 75
    lines = [line for line in errors.splitlines() if line.startswith("curate: ")]
    assert lines == [f"curate: interrupted while listing the shards; {GO_ON}"]
    assert "\x1b" not in errors
    assert "Traceback" not in output + errors


def test_nobody_who_reads_its_errors_is_waited_for(finished):
    """As where they go through a pipe to a program that has stopped: the pipe is full."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"." * 4096)
    os.set_blocking(writing, True)
    arguments = command("verify", f"output.dir={finished}")
    with subprocess.Popen(arguments, env=environment(), stdout=subprocess.DEVNULL, stderr=writing) as process:
        wait_until(lambda: listens(process), "it did not listen", alive=process, every=0.001)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=HANG_SECONDS) == 75
    os.close(reading)
    os.close(writing)


def test_a_forked_process_leaves_a_terminals_signals_to_its_parent():
    script = (
        "import os, signal, sys, time\n"
        "from curate.processes.interruption import listen\n"
        "listen()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(0.5)\n"
        "    os._exit(3)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=HANG_SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


@pytest.mark.parametrize("before", ["at once", "once it is heard"])
def test_a_busy_child_is_stopped_whatever_order_signals_reach_it_in(before):
    """Two that wait for it come lowest number first: a second Ctrl-C before the first one."""
    script = (
        "import time\n"
        "from curate.processes.interruption import drains, listen\n"
        "listen(is_child=True)\n"
        "with drains(lambda: 'it', lambda: print('drain', flush=True), lambda: print('stop', flush=True)):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(3600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            if before == "at once":
                process.send_signal(signal.SIGSTOP)
                process.send_signal(signal.SIGTERM)
                process.send_signal(STOP)
                process.send_signal(signal.SIGCONT)
                assert process.stdout.readline() == "drain\n"
            else:
                process.send_signal(signal.SIGTERM)
                assert process.stdout.readline() == "drain\n"
                process.send_signal(STOP)
            assert process.stdout.readline() == "stop\n"
        finally:
            process.kill()


START, LOADING, JUDGING = "it obeys signals", "it loads the model", "it judges"


class Trial(NamedTuple):
    """Ctrl-C in a run of `folder`, so many seconds after an event; where that makes it drain, perhaps once more."""

    event: str
    delay: float
    folder: str
    twice: bool = False


class Seconds(NamedTuple):
    """From the first Ctrl-C to the line that answers it, and to the end; None where the run was over before."""

    said: float | None
    ended: float | None


class RealRun:
    """A run with the built-in safeguard on a terminal, and its events, told by what it writes into its folder."""

    def __init__(self, folder, scratch):
        self.folder = folder
        self._before = self._written()
        self._program = on_a_terminal(command(*real_run(folder)), scratch)

    def __enter__(self):
        self.terminal = self._program.__enter__()
        return self

    def __exit__(self, *error):
        return self._program.__exit__(*error)

    @property
    def is_over(self):
        return self.terminal.process.poll() is not None

    def wait_for(self, event):
        """Until then, or until the run is over."""
        self.terminal.wait_until_it_listens()
        if event != START:
            wait_until(
                lambda: self.is_over or self._written()[event] != self._before[event],
                f"it did not come to where {event}",
                every=0.01,
            )

    def wait(self, seconds):
        """So long, or until the run is over."""
        due = time.monotonic() + seconds
        wait_until(lambda: self.is_over or time.monotonic() >= due, "time stood still", every=0.01)

    def _written(self):
        record = self.folder / "run.yaml"
        heartbeats = {path.name for path in self.folder.glob("work/workers/*.json")}
        return {LOADING: record.stat().st_mtime_ns if record.exists() else None, JUDGING: heartbeats}


def real_run(folder):
    return ["run", "+dataset=laion_subset", "dataset.limit=40", "engine.max_requests=4", f"output.dir={folder}"]


@pytest.mark.vllm
@pytest.mark.timeout(3600)  # thirty runs, half of which load the model
def test_at_thirty_moments_of_a_real_run(tmp_path, record_property):
    """Whatever the run is at then: importing, loading, handing over, judging, splitting, over."""
    whole = tmp_path / "whole"
    _, loading, judging = seconds_between(whole, tmp_path / "0", START, LOADING, JUDGING)
    unsplit(whole, tmp_path / "again")
    (splitting,) = seconds_between(tmp_path / "again", tmp_path / "1", START)

    trials = [Trial(START, delay, "early") for delay in (0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 1.6)]
    trials += [Trial(LOADING, loading * i / 9, "early") for i in range(10)]
    trials += [Trial(JUDGING, judging * i / 4, "judging", twice=i == 1) for i in range(4)]
    trials += [Trial(START, splitting * i / 7.5, f"unsplit-{i}") for i in range(1, 9)]
    assert len(trials) == 30
    record_property("trials", len(trials))
    took = []
    for number, trial in enumerate(trials, start=2):
        if trial.folder.startswith("unsplit"):
            unsplit(whole, tmp_path / trial.folder)
        took.append(interrupt(trial, tmp_path / trial.folder, tmp_path / str(number)))
    report(took)

    for folder in sorted({tmp_path / trial.folder for trial in trials}):
        curate(*real_run(folder))
        compare(rows(folder), rows(whole))
        curate("verify", f"output.dir={folder}")


def seconds_between(folder, scratch, *events):
    """How long a run takes from each event to the next, and from the last one to its end."""
    with RealRun(folder, scratch) as run:
        moments = []
        for event in events:
            run.wait_for(event)
            moments.append(time.monotonic())
        assert run.terminal.wait() == 0, run.terminal.text
        moments.append(time.monotonic())
    return [after - before for before, after in pairwise(moments)]


def unsplit(whole, folder):
    """The same run, judged and not split yet."""
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("splits", "README.md"))


def interrupt(trial, folder, scratch):
    with RealRun(folder, scratch) as run:
        terminal = run.terminal
        run.wait_for(trial.event)
        run.wait(trial.delay)
        over, pressed = run.is_over, time.monotonic()
        terminal.press_ctrl_c()
        wait_until(lambda: "curate: " in terminal.text or run.is_over, "Ctrl-C was not answered", every=0.01)
        answered = time.monotonic() - pressed
        if trial.twice and "Ctrl-C again stops now" in terminal.text:
            terminal.press_ctrl_c()
        code, ended = terminal.wait(), time.monotonic() - pressed
        said = terminal.said()
        if code == 75:
            assert len(said) == 1, terminal.text
            assert said[0].startswith(("interrupted", "finishing ")), terminal.text
            assert said[0].endswith(GO_ON), terminal.text
        else:  # it was over, or as good as that
            assert code == 0, terminal.text
            assert not said, terminal.text
        assert "Traceback" not in terminal.text
        wait_until_nothing_is_left(terminal)
        print(f"{trial}: {said} {answered:.2f} {ended:.2f}")
    return Seconds(None, None) if over else Seconds(answered, ended)


def report(took):
    """For whoever looks; nothing is asserted of it."""
    for name in Seconds._fields:
        known = [getattr(seconds, name) for seconds in took if seconds.ended is not None]
        print(f"{name}: {len(known)} times, median {statistics.median(known):.2f} s, most {max(known):.2f} s")
