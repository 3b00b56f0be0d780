"""What decoders print by themselves, in a worker process: kept from the terminal, and given with the picture's key.

Libraries like libtiff write to the file descriptor of stderr, whatever Python makes of its own. Which picture that was
about is known only to whoever reads it before the next one.
"""

from __future__ import annotations

import os
import sys

_MOST = 2000
"""Bytes of it that are worth reading."""


class Overheard:
    """From its making on, all that this process prints to stderr; for a process that has no other use for it."""

    def __init__(self) -> None:
        self._file = os.memfd_create("decoder-noise")
        sys.stderr.flush()
        os.dup2(self._file, 2)

    def take(self) -> str | None:
        """What was printed since the last time, as one line; None where nothing was."""
        sys.stderr.flush()
        said = os.pread(self._file, _MOST, 0)
        if not said:
            return None
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        return "; ".join(said.decode("utf-8", "replace").split("\n")).strip("; ") or None
