"""Seeded trials of SIGKILL: workers on one folder are killed and restarted at random moments, then the tables compared.

Workers are forked from a process that has everything imported and nothing started, so that a trial costs what it does
and not what Python's start-up costs; `trial` must therefore run in a fresh process (a fork of one that has used native
thread pools may hang). The fake engine makes results comparable byte for byte.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from curate.cli.hydra_config import compose_settings
from curate.console.output import configure
from curate.core.errors import CurateError
from curate.pipeline.annotating import annotate
from curate.pipeline.opening import open_settings
from curate.runs import journal
from tests.support.jobs import annotation_files, fake_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one trial did: number of workers started and killed."""

    started: int
    killed: int


def worker(arguments: list[str], part_rows: int) -> Callable[[], int]:
    """One worker of a run, to be forked; small parts, so that kills fall between and into checkpoints."""

    def work() -> int:
        configure(verbose=False)
        journal.PART_ROWS = part_rows
        try:
            outcome = annotate(open_settings(compose_settings(arguments[1:])))
        except CurateError as error:
            os.write(2, f"{error}\n".encode())
            return int(error.exit_code)
        return int(bool(outcome.unreadable))

    return work


def trial(seed: int, shards: str, folder: Path, *more: str, seconds: float = 0.6) -> Trial:
    """Let one to four workers run over `folder`, kill some at random moments, until one ends by itself."""
    chance = random.Random(seed)
    arguments = fake_run(shards, folder, "engine.args.latency=0.002", "engine.max_requests=4", *more)
    work = worker(arguments, part_rows=chance.choice((1, 3, 7)))
    alive = [_fork(work) for _ in range(chance.randint(1, 4))]
    started, killed = len(alive), 0
    for _ in range(chance.randint(1, 6)):
        time.sleep(chance.uniform(0, seconds))
        victim = chance.choice(alive)
        if _ended(victim) is None:
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
            killed += 1
        alive.remove(victim)
        if not alive or chance.random() < 0.5:
            alive.append(_fork(work))
            started += 1
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in alive if _ended(pid) is None]
    if not codes:
        codes = [os.waitstatus_to_exitcode(os.waitpid(_fork(work), 0)[1])]
        started += 1
    assert set(codes) == {0}, f"seed {seed}: workers ended with {codes}"
    return Trial(started=started, killed=killed)


def differences(folder: Path, undisturbed: Path) -> list[str]:
    """Names of annotation files that are not equal byte for byte."""
    found, expected = annotation_files(folder), annotation_files(undisturbed)
    return sorted(name for name in set(found) | set(expected) if found.get(name) != expected.get(name))


_ends: dict[int, int] = {}


def _fork(work: Callable[[], int]) -> int:
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        code = 1
        try:
            code = work()
        finally:
            os._exit(code)
    return pid


def _ended(pid: int) -> int | None:
    """Exit status of a child that has ended, None while it runs."""
    if pid not in _ends:
        done, status = os.waitpid(pid, os.WNOHANG)
        if not done:
            return None
        _ends[pid] = status
    return _ends[pid]
