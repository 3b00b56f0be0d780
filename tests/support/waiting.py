"""Waiting in tests: as long as it takes, and with a message where it would never end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

HANG_SECONDS = 1500
"""Ends what hangs, and nothing else.

Time is never asserted: a machine that is many times slower, or busy with other work, passes the same tests. So this is
far above what anything takes, and below pytest's own limit in pyproject.toml, which knows less to say.
"""
_LAST_WORDS_SECONDS = 5


def wait_until(
    met: Callable[[], object],
    what: str,
    *,
    alive: subprocess.Popen[Any] | None = None,
    every: float = 0.05,
    details: Callable[[], str] = str,
) -> None:
    """Look until `met` is true.

    Args:
        met: the condition.
        what: is wrong where it is not, e.g. "no shard was claimed".
        alive: a process that has to live until then; without it nothing but the time ends the wait.
        every: seconds between two looks.
        details: what else a failure shows, as it is then.
    """
    deadline = time.monotonic() + HANG_SECONDS
    while True:
        ended = alive is not None and alive.poll() is not None  # before the look: it may do its work and then end
        if met():
            return
        if ended:
            code, errors = alive.returncode, _last_words(alive)
            raise AssertionError(f"{what} before its process ended with code {code}:\n{errors}{details()}")
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} in {HANG_SECONDS} s\n{details()}")
        time.sleep(every)


def _last_words(ended: subprocess.Popen[Any]) -> str:
    """What is left in the pipe of its errors, if it has one; children that live on may keep that from closing."""
    try:
        _, errors = ended.communicate(timeout=_LAST_WORDS_SECONDS)
    except subprocess.TimeoutExpired as late:
        errors = late.stderr
    return errors.decode(errors="replace") if isinstance(errors, bytes) else errors or ""
