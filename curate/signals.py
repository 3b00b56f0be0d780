"""Signals that ask a worker to drain, and keeping them from the processes it starts.

A terminal's Ctrl-C and a scheduler's signals go to every process of a group. Only the worker may act on them: what is
in flight in its children has to finish first.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

DRAIN = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


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
