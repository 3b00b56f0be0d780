"""What the program is busy with while nothing can be counted: said when it begins, and with how long it usually takes.

A phase is something a person waits for: importing, loading a model, fetching weights, splitting, writing the card.
Whoever is interrupted meanwhile says which phase it is in (`current`).

On a terminal a phase is one line of stderr that is written over with the seconds that have passed, and in the end
says how many they were. Elsewhere (a pipe, a log) it is one plain line, at its beginning, and again after half a
minute, a minute, two, four, with the time that has passed. What is over before anybody waits passes unsaid, and so
does what a child process does: the process that a person started speaks for all.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import parent_process
from typing import TextIO

from curate.console.terminal import duration, interactive
from curate.console.untrusted_text import one_line

UNSAID_SECONDS = 1.0
"""Phases that are over before pass unsaid."""
TOLD_SECONDS = 3.0
"""Of shorter ones nothing stays on a terminal."""
SHOW_SECONDS = 0.5
AGAIN_SECONDS = 30.0
"""After which a phase is told again in a pipe; then after as long as it has taken."""

_START_OF_EMPTY_LINE = "\r\x1b[K"


@dataclass(slots=True, eq=False)
class Phase:
    """What goes on.

    Attributes:
        what: as a person would say it.
        usual: seconds that it usually takes, None where that is not known.
        note: how far it is, where something can be told, e.g. "1.2 of 14.5 GB".
        hidden: something else shows it just now, e.g. a bar.
        since: monotonic time of its beginning.
    """

    what: str
    usual: float | None = None
    note: str = ""
    hidden: bool = False
    since: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self.since

    def line(self) -> str:
        """What is said of it at its beginning."""
        usually = "" if self.usual is None else f"usually {duration(self.usual)}"
        return one_line(", ".join(part for part in (self.what, self.note, usually) if part))


_running: list[Phase] = []
_lock = threading.RLock()
_on_screen: list[_Stream] = []
"""Where the line of a phase stands just now; empty where none does."""


@contextmanager
def phase(what: str, usual: float | None = None, *, logged: bool = True) -> Iterator[Phase]:
    """Say on stderr what goes on until the block ends.

    Args:
        what: as a person would say it, e.g. "loading the model".
        usual: seconds that it usually takes, where that is known.
        logged: whether it is worth a line where nobody waits before a terminal.
    """
    one = Phase(what, usual)
    _running.append(one)
    try:
        if parent_process() is None:
            with _shown(one, logged=logged):
                yield one
        else:
            yield one
    finally:
        _running.remove(one)


def current() -> str | None:
    """The innermost phase that is going on, None where there is none."""
    return _running[-1].what if _running else None


@contextmanager
def aside() -> Iterator[None]:
    """For writing other lines to the terminal: no line of a phase stands in the way meanwhile."""
    with _lock:
        if _on_screen:
            _on_screen.pop().write(_START_OF_EMPTY_LINE)
        yield


class _Stream:
    """Stderr as it is now: what loads a model points the file descriptors of its process elsewhere for a while."""

    def __init__(self, stream: TextIO) -> None:
        self.interactive = interactive(stream)
        self._stream = stream
        try:
            stream.flush()
            self._copy: int | None = os.dup(stream.fileno())
        except (OSError, ValueError):  # of a test that looks at what is printed; io.UnsupportedOperation is both
            self._copy = None

    def write(self, text: str) -> None:
        try:
            if self._copy is None:
                self._stream.write(text)
            else:
                os.write(self._copy, text.encode(self._stream.encoding or "utf-8", "backslashreplace"))
        except OSError:  # nobody reads it any more, which is no reason to stop
            pass

    def width(self) -> int:
        try:
            return os.get_terminal_size(2 if self._copy is None else self._copy).columns or 80
        except OSError:
            return 80

    def close(self) -> None:
        if self._copy is not None:
            os.close(self._copy)


@contextmanager
def _shown(one: Phase, *, logged: bool) -> Iterator[None]:
    """A thread says it, since what is waited for holds up everything else."""
    ended = threading.Event()
    stream = _Stream(sys.stderr)
    show = _rewrite if stream.interactive else _say
    thread = threading.Thread(target=show, args=(one, stream, ended), daemon=True)
    if stream.interactive or logged:
        thread.start()
    try:
        yield
        done = True
    except BaseException:
        done = False
        raise
    finally:
        ended.set()
        if thread.ident is not None:
            thread.join()
        if stream.interactive:
            with aside():
                if done and one.seconds >= TOLD_SECONDS and not one.hidden:
                    stream.write(f"{one_line(one.what)} took {duration(one.seconds)}\n")
        stream.close()


def _say(one: Phase, stream: _Stream, ended: threading.Event) -> None:
    if ended.wait(UNSAID_SECONDS):
        return
    stream.write(f"{one.line()}\n")
    pause = AGAIN_SECONDS
    while not ended.wait(pause):
        if not one.hidden and _running[-1:] == [one]:
            stream.write(f"{one.line()}, {duration(one.seconds)} so far\n")
        pause = one.seconds


def _rewrite(one: Phase, stream: _Stream, ended: threading.Event) -> None:
    if ended.wait(UNSAID_SECONDS):
        return
    while True:
        with _lock:
            if _running[-1:] == [one] and not one.hidden:
                passed = f" ... {duration(one.seconds)}"
                # A line that reaches the edge would become two, of which only the second can be written over.
                room = max(0, stream.width() - 1 - len(passed))
                stream.write(f"{_START_OF_EMPTY_LINE}{one.line()[:room]}{passed}")
                _on_screen[:] = [stream]
        if ended.wait(SHOW_SECONDS):
            return
