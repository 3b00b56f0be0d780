"""A folder of this machine for each engine: what it prints, and its sockets.

A killed process cannot remove its own, so that each engine first removes those of the dead. An owner holds a lock,
which the kernel releases however the owner ends; a process id would be given to others, and means nothing to a
container that shares nothing but the folder for temporary files.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from curate.processes.interruption import at_end

PREFIX = "curate-vllm-"
SOCKETS_VARIABLE = "VLLM_RPC_BASE_PATH"
"""Environment variable that tells vLLM in which folder to make its sockets; without it they litter the machine's."""

_LOCK = "owner.lock"
_SOCKET_NAME = "/12345678-1234-1234-1234-123456789012"
_LONGEST_SOCKET = 103  # bytes in a socket's address, of macOS; Linux has four more


class EngineFolder:
    """A new folder, owned by this process until `remove` or its end.

    Attributes:
        log: an empty file for what the engine's processes print.
    """

    def __init__(self) -> None:
        remove_abandoned()
        self._path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = _own(self._path)
        self.log = self._path / "engine.log"
        self.log.touch()
        at_end(self.remove)

    @contextmanager
    def holds_sockets(self) -> Iterator[None]:
        """VLLM's processes that start meanwhile have their sockets here, unless the user chose or the path is long."""
        too_long = len(os.fsencode(self._path)) + len(_SOCKET_NAME) > _LONGEST_SOCKET
        if SOCKETS_VARIABLE in os.environ or too_long:
            yield
            return
        os.environ[SOCKETS_VARIABLE] = str(self._path)
        try:
            yield
        finally:
            del os.environ[SOCKETS_VARIABLE]

    def remove(self) -> None:
        """Remove it with all that is in it. Idempotent."""
        shutil.rmtree(self._path, ignore_errors=True)
        self._lock.close()


def _own(folder: Path) -> BinaryIO:
    """Lock `folder`. The lock's file has its name only once it is locked, so that nobody takes it for a dead one's."""
    unnamed = folder / f"{_LOCK}.new"
    lock = unnamed.open("wb")
    with suppress(OSError):  # a file system without locks: the folder counts as nobody's, and stays
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(folder / _LOCK)
    return lock


def remove_abandoned() -> None:
    """Remove the folders of owners that have ended."""
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{_LOCK}"):
        if _has_no_owner(lock):
            shutil.rmtree(lock.parent, ignore_errors=True)


def _has_no_owner(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, another user's, or removed by somebody else meanwhile
        return False
    return True
