"""Places for what is held, bounded by number and by bytes: one waits for them in order, or is told that there are none.

`curate.annotation.backpressure` wakes all who wait at each place that gets free, which suits a few readers of shards
and not hundreds of clients.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Places:
    """Bounds on what is held. One item always fits where nothing is held, however large.

    Args:
        most: items.
        most_bytes: of all of them.

    Attributes:
        items, nbytes: what is held now.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[asyncio.Future[None], Place]] = deque()
        self.items = 0
        self.nbytes = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def take(self, items: int = 1, nbytes: int = 0) -> Place | None:
        """A place for so much; None where there is none now, or others wait for one."""
        place = Place(self, items, nbytes)
        return place if not self._waiting and self._admitted(place) else None

    @asynccontextmanager
    async def entered(self, nbytes: int = 0) -> AsyncIterator[Place]:
        """A place for one item, waited for in the order of arrival, and left at the end."""
        place = self.take(1, nbytes) or await self._waited(Place(self, 1, nbytes))
        try:
            yield place
        finally:
            place.leave()

    async def _waited(self, place: Place) -> Place:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, place))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                place.leave()  # it was given just before
            else:
                self._waiting.remove((turn, place))
                self._wake()
            raise
        return place

    def _admitted(self, place: Place) -> bool:
        fits = self.items + place.items <= self._most and self.nbytes + place.nbytes <= self._most_bytes
        if self.items and not fits:
            return False
        self.items += place.items
        self.nbytes += place.nbytes
        place.held = True
        return True

    def _wake(self) -> None:
        while self._waiting:
            turn, place = self._waiting[0]
            if turn.cancelled():
                return  # who waited takes itself away
            if not self._admitted(place):
                return
            self._waiting.popleft()
            turn.set_result(None)


class Place:
    """What one holder holds."""

    def __init__(self, places: Places, items: int, nbytes: int) -> None:
        self._places = places
        self.items = items
        self.nbytes = nbytes
        self.held = False

    def grow(self, items: int) -> bool:
        """Hold so many items more; False where they do not fit."""
        if self._places.items + items > self._places._most and self._places.items > self.items:
            return False
        self._places.items += items
        self.items += items
        return True

    def settle(self, nbytes: int) -> None:
        """Correct the bytes, known only now."""
        self._places.nbytes += nbytes - self.nbytes
        self.nbytes = nbytes
        self._places._wake()

    def leave(self) -> None:
        """Give the place back; a second time changes nothing."""
        if self.held:
            self.held = False
            self._places.items -= self.items
            self._places.nbytes -= self.nbytes
            self._places._wake()
