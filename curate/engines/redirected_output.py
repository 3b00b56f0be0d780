"""What processes print that are started meanwhile goes to a file.

An engine that fails prints pages from several processes. The reason is one line in them.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curate.processes.interruption import ending

_REASON = re.compile(r"\b((?:\w+\.)*\w*(?:Error|Exception)): (\S.*)")
# Said by those who only saw another process fail.
_SECOND_HAND = ("initialization failed", "Engine core", "EngineCore", "Worker failed", "WorkerProc")


@contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Point the file descriptors of stdout and stderr, which child processes inherit, at `path` for a while."""
    _flush()
    kept = {fd: os.dup(fd) for fd in (1, 2)}
    with path.open("ab") as log:
        for fd in kept:
            os.dup2(log.fileno(), fd)
    try:
        yield
    finally:
        _flush()
        for fd, copy in kept.items():
            if not ending():  # where nothing more is to be heard, they lead nowhere by now
                os.dup2(copy, fd)
            os.close(copy)


def reason_in(path: Path) -> str | None:
    """The last error of its own that `path` names, as "ValueError: ..."; None where there is none, or no file."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    found = [f"{match[1]}: {match[2]}" for match in _REASON.finditer(text)]
    own = [reason for reason in found if not any(words in reason for words in _SECOND_HAND)]
    return own[-1] if own else None


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
