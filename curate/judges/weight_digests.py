"""Digests of large files, each read whole and once: kept in the user's cache folder by what tells that it is the same.

One small file for each (XDG_CACHE_HOME/curate/weights), named by the path, size, times and inode of what was read;
whoever deletes them loses nothing but the minutes. Several processes may read and write at once: each file appears
whole.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from curate.console.phases import phase
from curate.console.terminal import size as shown

THREADS = 8
"""Readers at once: one alone does not keep a disk array or a network file system busy."""


def file_digests(paths: Sequence[Path]) -> list[str]:
    """SHA-256 of each file in hexadecimal, in their order."""
    known = [_kept(path) for path in paths]
    unknown = [path for path, digest in zip(paths, known, strict=True) if digest is None]
    if not unknown:
        return [digest for digest in known if digest is not None]
    amount = shown(sum(path.stat().st_size for path in unknown))
    with phase(f"hashing {amount} of weights, once"), ThreadPoolExecutor(min(THREADS, len(unknown))) as readers:
        fresh = iter(list(readers.map(_read, unknown)))
    return [digest if digest is not None else next(fresh) for digest in known]


def _read(path: Path) -> str:
    before = _place(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if _place(path) == before:  # else it was written meanwhile, and the next start reads it again
        _keep(before, digest)
    return digest


def _kept(path: Path) -> str | None:
    try:
        digest = _place(path).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    return digest if len(digest) == 64 and set(digest) <= set("0123456789abcdef") else None


def _keep(place: Path, digest: str) -> None:
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=place.parent, delete=False, encoding="ascii") as scratch:
            scratch.write(digest)
        Path(scratch.name).replace(place)


def _place(path: Path) -> Path:
    """Where the digest of a file is kept, as long as it is the same file."""
    real = path.resolve()
    status = real.stat()
    times = (status.st_mtime_ns, status.st_ctime_ns)
    name = hashlib.sha256(repr((str(real), status.st_size, *times, status.st_ino, status.st_dev)).encode()).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "curate" / "weights" / name
