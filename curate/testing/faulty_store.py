"""A store that fails at its Nth call, as a disk that is full or a server that is gone would."""

from __future__ import annotations

import io
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from curate.storage.store import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong.

    Attributes:
        at: number of the call that fails, from 1.
        errno: of the OSError.
        after: the call takes effect, and its answer is lost.
        lasting: every later call fails too.
    """

    at: int
    errno: int
    after: bool = False
    lasting: bool = False


class FaultyStore:
    """Wraps a store; each of its methods and each read of an opened file is one call.

    Attributes:
        calls: how many there were; more than `fault.at` where the fault was met.
        log: what each call was.
    """

    def __init__(self, store: Store, fault: Fault) -> None:
        self.calls = 0
        self.log: list[str] = []
        self._store = store
        self._fault = fault
        self._lock = threading.Lock()

    def read(self, name: str) -> bytes:
        """See `Store`."""
        return self._call(f"read {name}", lambda: self._store.read(name))

    def open(self, name: str) -> io.BufferedIOBase:
        """See `Store`."""
        file = self._call(f"open {name}", lambda: self._store.open(name))
        return io.BufferedReader(_Reader(file, lambda read: self._call(f"read from {name}", read)))

    def local(self, name: str) -> AbstractContextManager[Path]:
        """See `Store`."""
        return self._call(f"local {name}", lambda: self._store.local(name))

    def exists(self, name: str) -> bool:
        """See `Store`."""
        return self._call(f"exists {name}", lambda: self._store.exists(name))

    def create(self, name: str, data: bytes) -> bool:
        """See `Store`."""
        return self._call(f"create {name}", lambda: self._store.create(name, data))

    def replace(self, name: str, data: bytes) -> None:
        """See `Store`."""
        self._call(f"replace {name}", lambda: self._store.replace(name, data))

    def publish(self, scratch: Path, name: str) -> bool:
        """See `Store`."""
        return self._call(
            f"publish {name}",
            lambda: self._store.publish(scratch, name),
            lambda: self._store.publish(_copy(scratch), name),
        )

    def delete(self, name: str) -> None:
        """See `Store`."""
        self._call(f"delete {name}", lambda: self._store.delete(name))

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        return self._call(f"names {folder}", lambda: self._store.names(folder))

    def folders(self, folder: str) -> list[str]:
        """See `Store`."""
        return self._call(f"folders {folder}", lambda: self._store.folders(folder))

    def scratch(self) -> Path:
        """See `Store`."""
        return self._call("scratch", self._store.scratch)

    def uri(self, name: str) -> str:
        """See `Store`."""
        return self._store.uri(name)

    def arbitrates(self) -> bool:
        """See `Store`."""
        return self._call("arbitrates", self._store.arbitrates)

    def _call(self, what: str, call: Callable[[], T], unanswered: Callable[[], T] | None = None) -> T:
        """Make a call, or the fault; `unanswered` is the call where losing its answer leaves something else behind."""
        with self._lock:
            self.calls += 1
            self.log.append(what)
            failing = self.calls == self._fault.at or (self._fault.lasting and self.calls > self._fault.at)
        if not failing:
            return call()
        if self._fault.after:
            (unanswered or call)()
        raise OSError(self._fault.errno, os.strerror(self._fault.errno))


def _copy(scratch: Path) -> Path:
    """What is published while the scratch file stays for another try."""
    return Path(shutil.copyfile(scratch, scratch.with_name(f"{scratch.name}-sent")))


class _Reader(io.RawIOBase):
    """Counts each read as a call."""

    def __init__(self, file: io.BufferedIOBase, call: Callable[[Callable[[], int]], int]) -> None:
        self._file = file
        self._call = call

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        return self._call(lambda: self._file.readinto(buffer))

    def close(self) -> None:
        self._file.close()
        super().close()
