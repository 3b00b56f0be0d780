"""What a stream can show, and how a person would type this program's name. Light to import."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from typing import TextIO

_DUMB = ("dumb", "unknown")


def interactive(stream: TextIO | None) -> bool:
    """Whether what was written there can be written over: a terminal that is more than a printer."""
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM", "") not in _DUMB
    except ValueError:  # closed
        return False


def invocation() -> str:
    """The beginning of a command line of this program, as it was typed this time."""
    script = sys.argv[0]
    if os.path.basename(script) == "curate":  # noqa: PTH119
        return "curate" if shutil.which("curate") == script else shlex.quote(script)
    return f"{python()} -m curate"


def python() -> str:
    """The interpreter as it was typed; "python" where that means the same."""
    typed = sys.orig_argv[0] if sys.orig_argv else sys.executable
    return "python" if shutil.which("python") in (sys.executable, typed) else shlex.quote(typed)


def duration(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"


def size(count: float) -> str:
    """A number of bytes as a person says it."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
