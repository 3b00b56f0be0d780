"""Commands in a terminal of their own, for tests of what a person sees."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

from tests.support.jobs import environment

CODES = re.compile(r"\x1b\[[0-9;]*[mK]")
"""What may be written to a terminal besides text: colours, and the end of a line that is written over."""


def shown(
    command: list[str],
    *,
    columns: int = 80,
    rows: int = 40,
    cwd: Path | None = None,
    err: Path | None = None,
    **variables: str,
) -> str:
    """All that `command` writes to a terminal; it has to end well.

    Args:
        command: with its arguments.
        columns: of the terminal.
        rows: of the terminal.
        cwd: where it runs.
        err: a file for what it writes to standard error, which goes to the terminal otherwise.
        variables: of its environment, beside those of a modern terminal.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    outer = {k: v for k, v in environment().items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")}
    env = outer | {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | variables
    errors = theirs if err is None else os.open(err, os.O_WRONLY | os.O_CREAT)
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=errors, cwd=cwd, env=env)
    os.close(theirs)
    received = b""
    try:
        while block := os.read(ours, 65536):
            received += block
    except OSError:  # how Linux says that the other end was closed
        pass
    os.close(ours)
    text = received.decode()
    assert process.wait() == 0, text
    return text.replace("\r\n", "\n")


def plain(text: str) -> str:
    """`text` without codes, and without what was written over."""
    return "\n".join(line.rpartition("\r")[2] for line in CODES.sub("", text).split("\n"))


def height(lines: list[str], columns: int) -> int:
    """Rows that lines take on a screen, which wraps those that are wider."""
    return sum(max(1, -(-len(line) // columns)) for line in lines)
