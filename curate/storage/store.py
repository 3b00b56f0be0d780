"""Storage of a run's folder: the few operations that make publishing safe among workers that cannot see each other.

Everything a run keeps is written once under its final name (`create`, `publish`: create-if-absent) or replaced as a
whole (`replace`); no reader ever sees half a file. Names are relative to the run's folder and use "/".
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from io import BufferedIOBase
from pathlib import Path
from typing import Protocol


class Store(Protocol):
    """A run's folder. Methods raise OSError where the storage fails, FileNotFoundError where a name is not there."""

    def read(self, name: str) -> bytes:
        """The bytes of `name`."""
        ...

    def open(self, name: str) -> BufferedIOBase:
        """A seekable reader, for files too large to hold."""
        ...

    def local(self, name: str) -> AbstractContextManager[Path]:
        """`name` as a file of this machine, for programs that read nothing else; perhaps a copy, which goes."""
        ...

    def exists(self, name: str) -> bool:
        """Whether `name` is there, complete."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Write `name` durably if it is not there; False, and nothing changed, if it is."""
        ...

    def replace(self, name: str, data: bytes) -> None:
        """Write `name` durably, whatever was there; readers see the old bytes or the new."""
        ...

    def publish(self, scratch: Path, name: str) -> bool:
        """Move a finished file from `scratch()` to `name` durably if that is not there; else it goes.

        Where this raises, the scratch file stays, so that it can be tried again.
        """
        ...

    def delete(self, name: str) -> None:
        """Remove `name` if it is there."""
        ...

    def names(self, folder: str) -> list[str]:
        """Sorted names of the complete files directly inside `folder`; empty where there is no such folder."""
        ...

    def folders(self, folder: str) -> list[str]:
        """Sorted names of the folders directly inside `folder`; empty where there is no such folder."""
        ...

    def scratch(self) -> Path:
        """A fresh local path for a file in progress; nothing counts until it is published."""
        ...

    def uri(self, name: str) -> str:
        """How a person, or another program, finds `name`."""
        ...

    def arbitrates(self) -> bool:
        """Whether of several workers that `create` or `publish` one name exactly one is told that it did.

        Where not, nothing but a fixed share of the work keeps two workers apart.
        """
        ...
