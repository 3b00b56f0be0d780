"""Renews what a process has claimed, from a thread, so that a busy process is not taken for a dead one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from curate.core.errors import StorageFailed
from curate.runs.claims import Claims


@contextmanager
def heartbeat(
    claims: Claims, progress: Callable[[], Mapping[str, Any]], failed: Callable[[StorageFailed], object]
) -> Iterator[None]:
    """Beat for `claims` as long as this lasts: at its start, four times in each lease, and at its end.

    Args:
        claims: of this process.
        progress: what is told with each beat; asked in the thread.
        failed: told in the thread that a beat could not be written; none follows but the last.

    Raises:
        StorageFailed: the first or the last beat cannot be written.
    """
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(claims.lease / 4):
            try:
                claims.beat(progress())
            except StorageFailed as error:
                failed(error)
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    claims.beat(progress())
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        claims.beat(progress(), ended=True)
