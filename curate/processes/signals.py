"""Keeping signals from the processes that a worker starts. What it does at one itself: `curate.processes.interruption`.

A terminal's Ctrl-C and a scheduler's signals go to every process of a group. Only the worker may act on them: what is
in flight in its children has to finish first.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


@contextmanager
def blocked(numbers: Collection[signal.Signals]) -> Iterator[None]:
    """A process that this thread starts meanwhile never sees these signals, from its first instruction on."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    # Multiprocessing's resource tracker serves them all and must outlive them; starting it undoes a part of the mask.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with(parent: int) -> None:
    """Ask the kernel to kill this process when the thread that started it ends; the closing pipe does it elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def how_it_ended(code: int) -> str:
    """An exit code as `multiprocessing` tells it, negative for a signal, in words."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
