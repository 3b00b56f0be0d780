"""A raw file that is read at a position of its own: what the readers of stores have in common."""

from __future__ import annotations

import io


class SeekableReader(io.RawIOBase):
    """Its subclasses read at `_at`, move it, and say how `seek` finds the new position."""

    def __init__(self) -> None:
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Offset of the next byte."""
        return self._at
