"""Trying again where the storage may recover: which errors pass, how long to wait, and when to give up.

Waits double from `first` to `longest` seconds, each drawn anew below that bound, so that many workers that were
refused at once do not come back at once.
"""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

TRANSIENT = frozenset(
    {
        *(errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.ENOLCK, errno.EREMOTEIO, errno.ESTALE),
        *(errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT),
        *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETRESET, errno.ENETUNREACH),
    }
)
"""Errors that another try may not meet: a server that restarts, a network that is down, a busy or stale file."""


def is_transient(error: Exception) -> bool:
    """Whether another try may succeed."""
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    return isinstance(error, OSError) and error.errno in TRANSIENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a failing call is tried again.

    Attributes:
        total: seconds from the first failure to the last try; 0 for no other try.
        first, longest: bounds of a wait in seconds, at first and at most.
    """

    total: float = 300.0
    first: float = 0.5
    longest: float = 30.0

    def waits(self) -> Iterator[float]:
        """Seconds to wait before each further try; ends with the patience."""
        end = time.monotonic() + self.total
        bound = self.first
        while time.monotonic() + bound <= end:
            yield random.uniform(bound / 2, bound)
            bound = min(2 * bound, self.longest)


def attempt(
    call: Callable[[], T], patience: Patience, passes: Callable[[Exception], bool], errors: tuple[type[Exception], ...]
) -> T:
    """What `call` returns, tried again after each of `errors` that `passes`; the last one where patience ends."""
    waits: Iterator[float] | None = None
    while True:
        try:
            return call()
        except errors as error:
            waits = waits or patience.waits()
            wait = next(waits, None) if passes(error) else None
            if wait is None:
                raise
        time.sleep(wait)
