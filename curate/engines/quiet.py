"""Output of processes started meanwhile goes to a file; this process keeps its terminal.

An engine that fails prints pages from several processes. The reason is one line in them.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_REASON = re.compile(r"\b((?:\w+\.)*\w*(?:Error|Exception)): (\S.*)")
# Said by those who only saw another process fail.
_SECOND_HAND = ("initialization failed", "Engine core", "EngineCore", "Worker failed", "WorkerProc")


@contextmanager
def children_write_to(path: Path) -> Iterator[None]:
    """Point the file descriptors of stdout and stderr, which child processes inherit, at `path` for a while."""
    keep = {fd: os.dup(fd) for fd in (1, 2)}
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_text(keep[1]), _text(keep[2]))
    with path.open("ab") as log:
        for fd in keep:
            os.dup2(log.fileno(), fd)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout, sys.stderr = streams
        for fd, kept in keep.items():
            os.dup2(kept, fd)
            os.close(kept)


def reason_in(path: Path) -> str | None:
    """The last error of its own that `path` names, as "ValueError: ..."; None where there is none."""
    text = path.read_text(encoding="utf-8", errors="replace")
    found = [f"{m[1]}: {m[2]}" for m in _REASON.finditer(text)]
    own = [reason for reason in found if not any(words in reason for words in _SECOND_HAND)]
    return own[-1] if own else None


def _text(fd: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(fd, "w", closefd=False), encoding="utf-8", line_buffering=True)
