"""Ending processes together with all that they started, so that nothing outlives them."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator
from contextlib import suppress

import psutil

_DYING_SECONDS = 1.5
"""How long the end of killed processes is waited for; the kernel may take a while to take back many gigabytes."""


def kill_with_all_below(pid: int) -> None:
    """Kill a process, all that it started, and all that these did."""
    kill_all_below(pid)
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).kill()


def kill_all_below(pid: int) -> Collection[psutil.Process]:
    """Kill all that a process started, and all that these did; returns them.

    Multiprocessing's resource tracker is left: it ends with those it serves, and removes what they leave behind.
    """
    found: dict[int, psutil.Process] = {}
    while new := [child for child in _below(pid) if child.pid not in found]:
        for child in new:
            found[child.pid] = child
            with suppress(psutil.Error):
                child.suspend()  # starts nothing any more, of which the next look would not know
    for child in found.values():
        with suppress(psutil.Error):
            child.kill()
    return found.values()


def end_all_below(pid: int) -> None:
    """As `kill_all_below`; returns once they are gone, or nearly so."""
    killed = kill_all_below(pid)
    deadline = time.monotonic() + _DYING_SECONDS
    while any(map(_lives, killed)) and time.monotonic() < deadline:
        time.sleep(0.01)


def _below(pid: int) -> Iterator[psutil.Process]:
    tracking = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
    tracker = getattr(tracking, "_pid", None)
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return
    yield from (child for child in children if child.pid != tracker)


def _lives(process: psutil.Process) -> bool:
    """Whether it does anything still; what is dead may wait for somebody to ask how it ended."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
