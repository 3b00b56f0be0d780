"""Where pictures stand in earlier runs, by SHA-256: sixteen bytes a row, in a temporary file.

Only the first eight bytes of a digest are kept; whoever looks up compares the whole digest with the row that is found.
However many rows there are, memory holds those of one file while building, and one of 256 parts while sorting; a
look-up touches a few pages.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

_ENTRY = np.dtype([("digest", "<u8"), ("place", "<u8")])
_PARTS = 256
_SHIFT = np.uint64(56)


class DigestIndex:
    """Places by digest; places of equal digests keep the order in which they were added.

    Args:
        blocks: pairs of arrays of equal length and type uint64: the first eight bytes of digests, big-endian, and
            their places, whatever these mean.
    """

    def __init__(self, blocks: Iterable[tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="curate-earlier-")
        folder = Path(self._folder.name)
        _scatter(folder, blocks)
        self._starts = _gather(folder)
        self._digests = _mapped(folder / "digests")
        self._places = _mapped(folder / "places")

    def __len__(self) -> int:
        return int(self._starts[-1])

    def find(self, digest: bytes) -> Iterator[int]:
        """Places of rows whose digest may be this one."""
        start, end = int(self._starts[digest[0]]), int(self._starts[digest[0] + 1])
        wanted, part = np.uint64(int.from_bytes(digest[:8])), self._digests[start:end]
        first, last = (np.searchsorted(part, wanted, side) for side in ("left", "right"))
        yield from self._places[start + int(first) : start + int(last)].tolist()

    def close(self) -> None:
        """Delete the file. Idempotent."""
        self._folder.cleanup()


def _scatter(folder: Path, blocks: Iterable[tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]]) -> None:
    """Write the entries into one file for each first byte that is there, in their order."""
    parts: dict[int, BinaryIO] = {}
    with ExitStack() as files:
        for digests, places in blocks:
            entries = np.empty(len(digests), _ENTRY)
            entries["digest"], entries["place"] = digests, places
            entries = entries[np.argsort(digests >> _SHIFT, kind="stable")]
            borders = np.searchsorted(entries["digest"] >> _SHIFT, np.arange(_PARTS + 1, dtype=np.uint64))
            for n in np.flatnonzero(np.diff(borders)).tolist():
                if n not in parts:
                    parts[n] = files.enter_context((folder / f"part-{n}").open("wb"))
                entries[borders[n] : borders[n + 1]].tofile(parts[n])


def _gather(folder: Path) -> npt.NDArray[np.int64]:
    """Sort part by part into two files; where each part starts, and at the end the number of all entries."""
    starts = np.zeros(_PARTS + 1, np.int64)
    with (folder / "digests").open("wb") as digests, (folder / "places").open("wb") as places:
        for n in range(_PARTS):
            part = folder / f"part-{n}"
            if not part.exists():
                starts[n + 1] = starts[n]
                continue
            entries = np.fromfile(part, _ENTRY)
            part.unlink()
            entries = entries[np.argsort(entries["digest"], kind="stable")]
            np.ascontiguousarray(entries["digest"]).tofile(digests)
            np.ascontiguousarray(entries["place"]).tofile(places)
            starts[n + 1] = starts[n] + len(entries)
    return starts


def _mapped(path: Path) -> npt.NDArray[np.uint64]:
    return np.memmap(path, np.uint64, "r") if path.stat().st_size else np.empty(0, np.uint64)
