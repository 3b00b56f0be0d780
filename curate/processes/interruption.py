"""Ctrl-C and its like, obeyed from the program's first moment to its last. Light to import: this comes first.

Python runs a signal's handler in the main thread and between two of its steps: not while that thread is inside a
library, or waits for threads that load a model. So a thread of its own listens.

A signal ends the program. What it interrupts is said, the main thread is told (a KeyboardInterrupt) and has a moment to
put its things away, and then the process is gone with all that it started, whatever its threads do. Nothing is lost by
that: what counts in a run's folder stands any kill.

Where something is in flight that is worth finishing (`drains`), the first signal says so and lets it finish, and a
second Ctrl-C ends the program. There is one line for a person either way, at the first signal.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from types import FrameType
from typing import NamedTuple, NoReturn

DRAIN = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
STOP = signal.SIGUSR2
"""What a process sends its child for a second Ctrl-C, which cannot be told by order: two signals that wait for a busy
process reach it lowest number first, and two of a kind as one."""
GRACE_SECONDS = 2.0
"""What the main thread has for putting its things away."""

_TERMINAL_SECONDS = 1.0
"""A terminal that takes nothing for so long is left alone."""
_LEAVING_SECONDS = 4.0
"""Whoever ends the process has so long; then it is gone as it is."""

_GO_ON = "nothing is lost, run the same command again to go on"
_DRAINED = 75  # `ExitCode.DRAINED`, which is not imported here: it would come before the signals are heard
_WAKE = signal.SIGURG  # ignored by whoever knows nothing of it
_EMPTY_LINE = "\r\x1b[K"


class _State(Enum):
    UNDISTURBED = "nothing was heard"
    WAITING = "to be obeyed once there is something to drain"
    DRAINING = "finishing what is in flight"
    ENDING = "the main thread puts its things away"
    OVER = "the program has come to its end by itself"


class _Drain(NamedTuple):
    what: Callable[[], str | None]
    begin: Callable[[], object]
    stop: Callable[[], object]


_drains: list[_Drain] = []
_at_end: list[Callable[[], object]] = []
_listener: _Listener | None = None


def listen(*, is_child: bool = False) -> None:
    """Obey signals from now on; to be called in the main thread.

    Args:
        is_child: leave it to the process that started this one to say anything and to end it. What it sends before
            there is something to drain is obeyed once there is.
    """
    global _listener
    _listener = _Listener(is_child=is_child)
    _listener.start()


@contextmanager
def drains(
    what: Callable[[], str | None], begin: Callable[[], object], stop: Callable[[], object] | None = None
) -> Iterator[None]:
    """While this lasts, the first signal lets what is in flight finish.

    Args:
        what: names it, e.g. "3 images in flight"; None where there is nothing just now, so that the signal ends the
            program as elsewhere.
        begin: is told the first signal.
        stop: is told that a second came, and has the moment that the main thread has elsewhere; by default the main
            thread gets a KeyboardInterrupt. All three are called in another thread.
    """
    listener = _listener
    if listener is None:
        yield
        return
    with listener.draining(_Drain(what, begin, stop or _wake_main_thread)):
        yield


def at_end(remove: Callable[[], object]) -> None:
    """Call this also where the process is ended whatever its threads do; it must not matter if it was called before."""
    _at_end.append(remove)


def said() -> bool:
    """Whether a person was told that the program ends before its work does, and how to go on."""
    return _listener is not None and _listener.state in (_State.DRAINING, _State.ENDING)


def ending() -> bool:
    """Whether the program is about to be gone, so that nothing more is worth telling."""
    return _listener is not None and _listener.state is _State.ENDING


def leave(code: int) -> NoReturn:
    """End the process by itself with `code`, or as an interruption wants it.

    There is no way back from here into the interpreter: native thread pools of third parties are known to abort a
    process whose work is done while it is taken down, which would turn a good exit code into a bad one.
    """
    if _listener is not None:
        signal.signal(_WAKE, signal.SIG_IGN)
        _listener.conclude()
    with suppress(OSError, ValueError):  # nobody reads it any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


class _Listener(threading.Thread):
    def __init__(self, *, is_child: bool) -> None:
        super().__init__(name="signals", daemon=True)
        self.state = _State.UNDISTURBED
        self._is_child = is_child
        self._told_to_stop = False
        self._turn = threading.Lock()
        self._leaving = threading.Lock()
        self._deadline: float | None = None
        self._terminal = _copy_of_stderr()
        self._end_family: Callable[[int], object] = lambda pid: None
        self._arrivals, arriving = os.pipe()
        os.set_blocking(arriving, False)
        signal.set_wakeup_fd(arriving, warn_on_full_buffer=False)
        for number in (*DRAIN, STOP) if is_child else DRAIN:
            signal.signal(number, _leave_it_to_the_listener)
        signal.signal(_WAKE, _interrupt)
        sys.unraisablehook = _once_more
        os.register_at_fork(after_in_child=_forget)

    def run(self) -> None:
        while self._arrives():
            for number in os.read(self._arrivals, 64):
                with self._turn:
                    if number in DRAIN:
                        self._hear(signal.Signals(number))
                    elif number == STOP:
                        self._stop_child()
        self._be_gone()

    @contextmanager
    def draining(self, drain: _Drain) -> Iterator[None]:
        with self._turn:
            _drains.append(drain)
            if self.state is _State.WAITING:
                self._drain(drain)
        try:
            yield
        finally:
            with self._turn:
                _drains.remove(drain)

    def conclude(self) -> None:
        """Hear nothing more; where the program is being ended, end it."""
        with self._turn:
            if self.state is not _State.ENDING:
                self.state = _State.OVER
                return
        self._be_gone()

    def _arrives(self) -> bool:
        """Wait for the next signal; false where the main thread has had its moment."""
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        return bool(select.select([self._arrivals], [], [], left)[0])

    def _hear(self, number: signal.Signals) -> None:
        drain = _drains[-1] if _drains else None
        if self.state is _State.UNDISTURBED:
            what = drain.what() if drain else None
            if drain and what is not None:
                self._drain(drain)
                self._say(f"finishing {what} (Ctrl-C again stops now); {_GO_ON}")
            elif self._is_child:
                self.state = _State.WAITING
            else:
                self._end(_wake_main_thread)
        elif number is not signal.SIGINT:  # schedulers repeat the others
            return
        elif self.state is _State.DRAINING:
            stop = drain.stop if drain else _wake_main_thread
            if self._is_child:
                stop()
            else:
                self._end(stop, drained=True)
        elif self.state is _State.ENDING:
            self._be_gone()

    def _drain(self, drain: _Drain) -> None:
        self.state = _State.DRAINING
        drain.begin()
        if self._told_to_stop:
            drain.stop()

    def _stop_child(self) -> None:
        """Whatever was heard before: finish nothing, as soon as there is anything to stop."""
        self._told_to_stop = True
        if not _drains:
            self.state = _State.WAITING
        elif self.state is _State.DRAINING:
            _drains[-1].stop()
        else:
            self._drain(_drains[-1])

    def _end(self, tell: Callable[[], object], *, drained: bool = False) -> None:
        # Imported while that is safe still: whom a KeyboardInterrupt takes out of an import may keep the lock on all.
        from curate.console import phases
        from curate.processes import process_tree

        self.state = _State.ENDING
        self._end_family = process_tree.end_all_below
        self._deadline = time.monotonic() + GRACE_SECONDS
        if not drained:
            what = phases.current()
            self._say(f"interrupted{f' while {what}' if what else ''}; {_GO_ON}")
        _silence()
        tell()

    def _say(self, line: str) -> None:
        if not self._is_child:
            self._write(f"curate: {line}\n")

    def _write(self, text: str) -> None:
        """Where stderr led at the beginning: it may lead elsewhere while a model loads. A line without an end goes."""
        if self._terminal is None:
            return
        empty_line = _EMPTY_LINE if os.isatty(self._terminal) else ""
        with suppress(OSError):
            if select.select([], [self._terminal], [], _TERMINAL_SECONDS)[1]:
                os.write(self._terminal, f"{empty_line}{text}".encode())

    def _be_gone(self) -> NoReturn:
        if self._leaving.acquire(timeout=_LEAVING_SECONDS):  # for good
            with suppress(Exception):
                self._end_family(os.getpid())
            for remove in _at_end:
                with suppress(Exception):
                    remove()
            self._write("")
        os._exit(_DRAINED)


def _leave_it_to_the_listener(_: int, __: FrameType | None) -> None:
    """With a handler of its own the signal neither ends the process nor is ignored, and the listener is told of it."""


def _interrupt(_: int, __: FrameType | None) -> None:
    if ending():
        raise KeyboardInterrupt


def _wake_main_thread() -> None:
    """A signal, because that ends a wait inside the system, too."""
    signal.pthread_kill(threading.main_thread().ident or 0, _WAKE)


def _once_more(unraisable: sys.UnraisableHookArgs) -> None:
    """Where nobody can catch it, e.g. in a destructor, or while an import ends, a KeyboardInterrupt is just dropped."""
    if ending() and issubclass(unraisable.exc_type, KeyboardInterrupt):
        _wake_main_thread()
    else:
        sys.__unraisablehook__(unraisable)


def _forget() -> None:
    """In a forked process, which has no listener: leave a terminal's signals to the parent, and end at its word."""
    global _listener
    if _listener is None:
        return
    _listener = None
    signal.set_wakeup_fd(-1)
    for number in DRAIN:
        signal.signal(number, signal.SIG_DFL if number is signal.SIGTERM else signal.SIG_IGN)
    signal.signal(_WAKE, signal.SIG_DFL)


def _copy_of_stderr() -> int | None:
    try:
        return os.dup(2)
    except OSError:  # there is none
        return None


def _silence() -> None:
    """What is cut off in the middle complains, to nobody's use."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.close(nowhere)
