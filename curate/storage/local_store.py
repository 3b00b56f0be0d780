"""A run's folder on a POSIX file system, shared or not."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import AbstractContextManager, nullcontext
from io import BufferedIOBase
from pathlib import Path

_TEMPORARY = ".tmp-"
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})
"""How a file system says that it has no hard links."""


class LocalStore:
    """A folder on a POSIX file system, shared or not.

    Create-if-absent is `link(2)`, which is atomic on NFS too (O_EXCL was not, before version 3, and a rename would
    replace). Files and their folders are fsynced, so that a published name survives a power cut.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).absolute()

    def read(self, name: str) -> bytes:
        """See `Store`."""
        return self._path(name).read_bytes()

    def open(self, name: str) -> BufferedIOBase:
        """See `Store`."""
        return self._path(name).open("rb")

    def local(self, name: str) -> AbstractContextManager[Path]:
        """See `Store`."""
        return nullcontext(self._path(name))

    def exists(self, name: str) -> bool:
        """See `Store`."""
        return self._path(name).exists()

    def create(self, name: str, data: bytes) -> bool:
        """See `Store`."""
        temporary = self._write(name, data)
        try:
            return self.publish(temporary, name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def replace(self, name: str, data: bytes) -> None:
        """See `Store`."""
        target = self._path(name)
        temporary = self._write(name, data)
        try:
            temporary.replace(target)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)

    def publish(self, scratch: Path, name: str) -> bool:
        """See `Store`."""
        target = self._path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync_file(scratch)
        ours = _link(scratch, target)
        if ours:
            _sync_folder(target.parent)
        scratch.unlink(missing_ok=True)
        return ours

    def delete(self, name: str) -> None:
        """See `Store`."""
        self._path(name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        return sorted(e.name for e in self._entries(folder) if e.is_file() and not e.name.startswith(_TEMPORARY))

    def folders(self, folder: str) -> list[str]:
        """See `Store`."""
        return sorted(e.name for e in self._entries(folder) if e.is_dir())

    def scratch(self) -> Path:
        """See `Store`."""
        return self._temporary(self._path("work/scratch"))

    def uri(self, name: str) -> str:
        """See `Store`."""
        return str(self._path(name))

    def arbitrates(self) -> bool:
        """See `Store`. FAT and some object stores mounted as folders have no hard links."""
        first, second = (self._temporary(self._path("work")) for _ in range(2))
        first.touch()
        try:
            os.link(first, second)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return False
            raise
        finally:
            first.unlink(missing_ok=True)
            second.unlink(missing_ok=True)
        return True

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._path(folder)) as entries:
                return list(entries)
        except FileNotFoundError:
            return []

    def _path(self, name: str) -> Path:
        return self.root / name

    def _temporary(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"

    def _write(self, name: str, data: bytes) -> Path:
        temporary = self._temporary(self._path(name).parent)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return temporary


def _link(scratch: Path, target: Path) -> bool:
    """Give `scratch` the name `target` too, where no other file has it."""
    try:
        os.link(scratch, target)
    except FileExistsError:
        return _same_file(scratch, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if target.exists():
            return False
        scratch.rename(target)
    return True


def _same_file(scratch: Path, target: Path) -> bool:
    """Whether a link that "exists" is our own: NFS may repeat a request whose answer was lost."""
    try:
        return scratch.samefile(target)
    except FileNotFoundError:
        return False


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
