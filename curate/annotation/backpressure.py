"""Back-pressure: what is in flight is bounded by number and by bytes. Nothing here knows what flows."""

from __future__ import annotations

import asyncio


class GateClosed(Exception):
    """The gate was closed: nothing new may enter, what is inside may finish."""


class Gate:
    """Bounds what is in flight, by number and by bytes.

    The bytes of an item are known only once it is rendered, so it enters with the mean of what was seen so far and is
    corrected by `Ticket.settle`. One item always passes, however large, so that nothing waits for ever.
    """

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._inside: set[Ticket] = set()
        self._bytes = 0
        self._seen_items = 0
        self._seen_bytes = 0
        self._closed = False
        self._waiting: asyncio.Event = asyncio.Event()

    async def enter(self) -> Ticket:
        """Wait for a place in flight.

        Raises:
            GateClosed: the gate is closed, or is closed while waiting.
        """
        while not self._closed:
            expected = self._seen_bytes // self._seen_items if self._seen_items else 0
            if self._fits(expected):
                return self._admit(expected)
            self._waiting.clear()
            await self._waiting.wait()
        raise GateClosed

    def close(self) -> None:
        """Let nothing new in."""
        self._closed = True
        self._waiting.set()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def inside(self) -> int:
        """Number of items in flight."""
        return len(self._inside)

    def _fits(self, nbytes: int) -> bool:
        items = len(self._inside)
        return items == 0 or (items < self._max_items and self._bytes + nbytes <= self._max_bytes)

    def _admit(self, nbytes: int) -> Ticket:
        ticket = Ticket(self, nbytes)
        self._inside.add(ticket)
        self._bytes += nbytes
        return ticket


class Ticket:
    """A place in flight, held from `Gate.enter` to `leave`."""

    def __init__(self, gate: Gate, nbytes: int) -> None:
        self._gate = gate
        self._bytes = nbytes

    def settle(self, nbytes: int) -> None:
        """Correct the expected bytes to the true ones."""
        self._gate._bytes += nbytes - self._bytes
        self._gate._seen_items += 1
        self._gate._seen_bytes += nbytes
        self._bytes = nbytes

    def leave(self) -> None:
        """Give the place back."""
        self._gate._inside.discard(self)
        self._gate._bytes -= self._bytes
        self._gate._waiting.set()
