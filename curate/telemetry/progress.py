"""What a person sees while a worker runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Protocol

from tqdm import tqdm

from curate.console.phases import Phase, aside, phase
from curate.console.terminal import duration, interactive
from curate.telemetry.failure_budget import Tally

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
        self._last_line = time.monotonic()
        if interactive(sys.stderr):
            # Drawn by the first refresh, which has something to show.
            self._bar = tqdm(total=self._total, unit="img", dynamic_ncols=True, smoothing=0.05, delay=1e-9)
            # What was judged before it was drawn took its time, too.
            passed = time.monotonic() - self._tally.started
            self._bar.start_t -= passed
            self._bar.last_print_t -= passed
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
        elif self._tally.rows and time.monotonic() - self._last_line >= LINE_SECONDS:
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
        return f", {duration(left / self._tally.rate)} left" if left > 0 and self._tally.rows else ""


def judging(tally: Tally, total: int | None) -> Display:
    """`Progress`, once something is judged; the first answers of an engine take longer than the others."""
    return Awaited(Progress(tally, total), "judging the first images", None, lambda: tally.rows > 0, told=False)


class Awaited:
    """A display that begins once there is something to show, and until then says what is waited for. See `Display`.

    Args:
        display: shown then.
        what, usual: as of `phase`.
        ready: whether there is.
        told: how long that took is worth a line.
    """

    def __init__(
        self, display: Display, what: str, usual: float | None, ready: Callable[[], bool], *, told: bool = True
    ) -> None:
        self._display = display
        self._told = told
        self._waiting = ExitStack()
        self._phase = phase(what, usual)
        self._ready = ready
        self._shown = False

    def __enter__(self) -> Awaited:
        waiting = self._waiting.enter_context(self._phase)
        if not self._told:
            self._waiting.callback(setattr, waiting, "hidden", True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.__exit__(kind, value, trace)
        if self._shown:
            self._display.__exit__(kind, value, trace)

    def refresh(self) -> None:
        """See `Display`."""
        if not self._shown and self._ready():
            self._waiting.close()
            self._display.__enter__()
            self._shown = True
        if self._shown:
            self._display.refresh()


class Counted:
    """How far a phase is that goes over a known number of samples: a bar on a terminal, plain lines elsewhere.

    Args:
        phase: which; its own line gives way to the bar.
    """

    def __init__(self, phase: Phase) -> None:
        self._phase = phase
        self._bar: tqdm[Any] | None = None
        self._done = 0
        self._total = 0
        self._last_line = time.monotonic()

    def begin(self, total: int) -> None:
        """It goes over so many samples."""
        self._total = total
        self._last_line = time.monotonic()
        if interactive(sys.stderr):
            self._phase.hidden = True
            with aside():
                self._bar = tqdm(total=total, unit="img", dynamic_ncols=True, leave=False, desc=self._phase.what)

    def add(self, samples: int) -> None:
        """So many more are done; with the last one the bar goes."""
        self._done += samples
        if self._bar is not None:
            self._bar.update(samples)
            if self._done >= self._total:
                self.close()
        elif self._done and time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            print(f"{self._phase.what}: {self._done}/{self._total} images", file=sys.stderr, flush=True)  # noqa: T201

    def close(self) -> None:
        """The bar goes, whatever came of it."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
            self._phase.hidden = False
