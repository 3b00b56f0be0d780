"""Ends the engine's processes when the process that started them is gone.

vLLM's engine survives a parent that was killed: while it loads it waits minutes for its parent's greeting, and later it
would keep the GPU until someone notices. The first thing that each of its processes gets is its configuration, before
it waits for anything or touches a GPU; so the watch travels in that.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from functools import cache
from typing import Any

_SECONDS = 1.0


class EndsWithParent(dict[str, Any]):
    """A mapping that makes a process of `multiprocessing` that was started with it end with its parent."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Starts the watch where it is read."""
        return _arrived, (dict(self), os.getpid())


def _arrived(content: dict[str, Any], sender: int) -> EndsWithParent:
    # A copy within a process has no parent to lose, and one that was sent to e.g. an actor of Ray is no child's.
    if sender != os.getpid() and "--multiprocessing-fork" in sys.orig_argv:
        _start_watch(sender)
    return EndsWithParent(content)


@cache
def _start_watch(parent: int) -> None:
    threading.Thread(target=_watch, args=(parent,), daemon=True, name="parent-watch").start()


def _watch(parent: int) -> None:
    """Whoever loses its parent is given another, at once, even if nobody waits for the dead one."""
    while os.getppid() == parent:
        time.sleep(_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
