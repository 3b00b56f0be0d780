"""A store that waits for a storage that recovers, and says in one line why it gives up on one that does not."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from curate.core.errors import StorageFailed
from curate.storage.seekable_reader import SeekableReader
from curate.storage.store import Store
from curate.storage.transient_errors import Patience, attempt, is_transient

T = TypeVar("T")

FULL_OR_READ_ONLY = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Errors that are the disk's, whatever was written to it."""

_READ_AHEAD = 2**18
_MEND = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space or raise the quota",
    errno.EROFS: "make it writable",
    errno.EACCES: "check permissions and credentials",
    errno.EPERM: "check permissions and credentials",
    errno.ENOENT: "check that the folder or bucket is there",
}


class RetryingStore:
    """Wraps a store; its methods raise StorageFailed where that one raises OSError for good.

    Once it gave up, calls are tried just once until one succeeds: a run that stops must not wait again at each of its
    last words.

    Args:
        store: whose calls are repeated.
        patience: how long each.
    """

    def __init__(self, store: Store, patience: Patience | None = None) -> None:
        self._store = store
        self._patience = patience or Patience()
        self._gave_up = False

    def read(self, name: str) -> bytes:
        """See `Store`."""
        return self._try("read", name, lambda: self._store.read(name), may_miss=True)

    def open(self, name: str) -> io.BufferedIOBase:
        """See `Store`. What fails while it is read is repeated from there."""
        file = self._try("read", name, lambda: self._store.open(name), may_miss=True)
        reader = _Reader(file, lambda call: self._try("read", name, call), self._store, name)
        return io.BufferedReader(reader, _READ_AHEAD)

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """See `Store`."""
        with ExitStack() as stack:
            yield self._try("read", name, lambda: stack.enter_context(self._store.local(name)), may_miss=True)

    def exists(self, name: str) -> bool:
        """See `Store`."""
        return self._try("read", name, lambda: self._store.exists(name))

    def create(self, name: str, data: bytes) -> bool:
        """See `Store`. A try whose answer was lost may have succeeded: its bytes tell."""
        tries = _Counted(lambda: self._store.create(name, data))
        return self._try("write", name, tries) or (tries.count > 1 and self._holds(name, data))

    def replace(self, name: str, data: bytes) -> None:
        """See `Store`."""
        self._try("write", name, lambda: self._store.replace(name, data))

    def publish(self, scratch: Path, name: str) -> bool:
        """See `Store`; False also where an earlier try had published it, and its answer was lost."""
        return self._try("write", name, lambda: self._store.publish(scratch, name), passes=_passes_unsynced)

    def delete(self, name: str) -> None:
        """See `Store`."""
        self._try("delete", name, lambda: self._store.delete(name))

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        return self._try("list", folder, lambda: self._store.names(folder))

    def folders(self, folder: str) -> list[str]:
        """See `Store`."""
        return self._try("list", folder, lambda: self._store.folders(folder))

    def scratch(self) -> Path:
        """See `Store`."""
        return self._try("write", "work/scratch", self._store.scratch)

    def uri(self, name: str) -> str:
        """See `Store`."""
        return self._store.uri(name)

    def arbitrates(self) -> bool:
        """See `Store`."""
        return self._try("write", "work", self._store.arbitrates)

    def _holds(self, name: str, data: bytes) -> bool:
        try:
            return self.read(name) == data
        except FileNotFoundError:
            return False

    def _try(
        self,
        verb: str,
        name: str,
        call: Callable[[], T],
        *,
        may_miss: bool = False,
        passes: Callable[[Exception], bool] = is_transient,
    ) -> T:
        try:
            result = attempt(call, self._patience, lambda e: passes(e) and not self._gave_up, (OSError,))
        except OSError as error:
            if may_miss and isinstance(error, FileNotFoundError):
                raise
            self._gave_up = True
            raise storage_failed(verb, self._store.uri(name), error) from error
        self._gave_up = False
        return result


def storage_failed(verb: str, place: str, error: OSError) -> StorageFailed:
    """The one line for what the storage does not do."""
    reason = " ".join((error.strerror or str(error) or type(error).__name__).split())[:300]
    mend = _MEND.get(error.errno or 0, "check the disk or network behind it")
    return StorageFailed(
        f"{place}: cannot {verb} ({reason}); {mend} and start again: what was finished or checkpointed stays"
    )


@contextmanager
def scratch_file(store: Store) -> Iterator[Path]:
    """A path for a file in progress, which goes at the end unless it was published.

    Raises:
        StorageFailed: the disk does not take what is written to it.
    """
    path = store.scratch()
    try:
        yield path
    except FileNotFoundError:
        raise
    except OSError as error:
        raise storage_failed("write", str(path), error) from error
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _passes_unsynced(error: Exception) -> bool:
    """Not EIO: the kernel may drop what it could not write, and a second fsync of the same file reports success."""
    return is_transient(error) and not (isinstance(error, OSError) and error.errno == errno.EIO)


class _Counted:
    """Counts the calls of a function."""

    def __init__(self, call: Callable[[], bool]) -> None:
        self._call = call
        self.count = 0

    def __call__(self) -> bool:
        self.count += 1
        return self._call()


class _Reader(SeekableReader):
    """Reads a file of a store; after an error the next try opens it again, since a handle may have gone stale."""

    def __init__(
        self, file: io.BufferedIOBase, again: Callable[[Callable[[], int]], int], store: Store, name: str
    ) -> None:
        super().__init__()
        self._file: io.BufferedIOBase | None = file
        self._again = again
        self._store = store
        self._name = name

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = self._again(lambda: self._handle().seek(offset, whence))
        return self._at

    def readinto(self, buffer: Any) -> int:
        def read() -> int:
            try:
                file = self._handle()
                return file.readinto1(buffer)
            except OSError:
                self._drop()
                raise

        count = self._again(read)
        self._at += count
        return count

    def close(self) -> None:
        if not self.closed:
            self._drop()
        super().close()

    def _handle(self) -> io.BufferedIOBase:
        if self._file is None:
            self._file = self._store.open(self._name)
            self._file.seek(self._at)
        return self._file

    def _drop(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        self._file = None
