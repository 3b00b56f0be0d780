"""Who gets in: places for pictures and for bytes, in all and for each token; who finds none is told when to come again.

Nothing waits here. What is let in waits in the judge, for no longer than its deadline.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from curate.guard.places import Place, Places
from curate.serving.errors import RETRY_SECONDS, Refused
from curate.settings.serve import ServeSettings


class Admission:
    """Bounds on all requests that are held at once, and on those of each token.

    Args:
        settings: the bounds.
        clock: seconds, monotonic.

    Attributes:
        closed: why nobody is let in, e.g. while the service ends; None while somebody may be.
    """

    def __init__(self, settings: ServeSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._places = Places(settings.max_held, settings.max_held_bytes)
        self._of_token: Counter[str] = Counter()
        self._buckets: dict[str, tuple[float, float]] = {}
        self.closed: str | None = "the model is being loaded"

    @property
    def images(self) -> int:
        """Pictures held; a request counts as one until it is read."""
        return self._places.items

    @property
    def nbytes(self) -> int:
        """Bytes of the requests that are held."""
        return self._places.nbytes

    @contextmanager
    def entered(self, token: str, nbytes: int) -> Iterator[Entry]:
        """A place for one request of so many bytes.

        Raises:
            Refused: 429, there is none; 503, nobody is let in.
        """
        if self.closed is not None:
            raise Refused(503, "not_ready", self.closed, retry_after=5)
        place = self._places.take(1, nbytes)
        if place is None:
            raise Refused(429, "overloaded", "too much is held already", retry_after=RETRY_SECONDS)
        entry = Entry(self, token, place)
        try:
            yield entry
        finally:
            place.leave()
            self._of_token[token] -= entry.images
            if not self._of_token[token]:
                del self._of_token[token]

    def _count(self, token: str, images: int) -> None:
        """Hold a token's pictures against its limits."""
        most = self._settings.images_at_once
        if most is not None and self._of_token[token] + images > most:
            if images > most:
                raise Refused(400, "too_many_images", f"this token may have {most} pictures in flight", param="input")
            message = f"this token has {self._of_token[token]} pictures in flight, and may have {most}"
            raise Refused(429, "too_many_in_flight", message, retry_after=RETRY_SECONDS)
        self._spend(token, images)
        self._of_token[token] += images

    def _spend(self, token: str, images: int) -> None:
        """A bucket that holds a minute's pictures and fills evenly."""
        most = self._settings.images_a_minute
        if most is None:
            return
        if images > most:
            raise Refused(400, "too_many_images", f"this token may ask about {most} pictures a minute", param="input")
        now = self._clock()
        left, at = self._buckets.get(token, (float(most), now))
        left = min(most, left + (now - at) * most / 60)
        if left < images:
            wait = math.ceil((images - left) * 60 / most)
            raise Refused(429, "rate_limit_exceeded", f"{most} pictures a minute are this token's", retry_after=wait)
        self._buckets[token] = (left - images, now)


class Entry:
    """One request that was let in."""

    def __init__(self, admission: Admission, token: str, place: Place) -> None:
        self._admission = admission
        self._token = token
        self._place = place
        self.images = 0

    def settle(self, nbytes: int) -> None:
        """Correct the bytes, once the request has arrived."""
        self._place.settle(nbytes)

    def hold(self, images: int) -> None:
        """Hold so many pictures, of which the first has its place.

        Raises:
            Refused: 429, they do not fit, or the token has none left; 400, they never will.
        """
        self._admission._count(self._token, images)
        self.images = images
        if images > 1 and not self._place.grow(images - 1):
            raise Refused(429, "overloaded", "too much is held already", retry_after=RETRY_SECONDS)
