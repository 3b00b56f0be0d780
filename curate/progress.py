"""What a person sees while a worker runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Protocol

from tqdm import tqdm

from curate.tally import Tally

LINE_SECONDS = 10.0


class Display(Protocol):
    """Shows a worker's counts while it runs."""

    def __enter__(self) -> object:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show the last state, and end."""
        ...

    def refresh(self) -> None:
        """Show the current state; cheap enough to be called several times a second."""
        ...


class Progress:
    """Shows a tally as it grows, for a person. See `Display`.

    Args:
        tally: what is shown; it is read, never changed.
        total: rows that are left to write, None where that cannot be known without reading.
    """

    def __init__(self, tally: Tally, total: int | None) -> None:
        self._tally = tally
        self._total = total
        self._bar: tqdm[Any] | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            self._bar = tqdm(total=self._total, unit="img", dynamic_ncols=True, smoothing=0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refresh()
        if self._bar is not None:
            self._bar.close()

    def refresh(self) -> None:
        """Show the current state; cheap enough to be called several times a second."""
        if self._bar is not None:
            self._bar.set_postfix_str(self._notes(), refresh=False)
            self._bar.update(self._tally.rows - self._bar.n)
        elif time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            print(self.line(), file=sys.stderr, flush=True)  # noqa: T201

    def line(self) -> str:
        """The state as one plain line."""
        total = f"/{self._total}" if self._total else ""
        return f"{self._tally.rows}{total} images, {self._tally.rate:.1f}/s, {self._notes()}{self._eta()}"

    def _notes(self) -> str:
        return f"unsafe {self._tally.share_unsafe:.1%}, failed {self._tally.failed}"

    def _eta(self) -> str:
        left = (self._total or 0) - self._tally.rows
        return f", {_duration(left / self._tally.rate)} left" if left > 0 and self._tally.rows else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"
