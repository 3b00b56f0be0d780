"""Commands on a terminal of their own, with Ctrl-C pressed there, and what is left of them afterwards."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import subprocess
import termios
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.support.jobs import environment
from tests.support.waiting import wait_until

_MARK = "CURATE_TEST_TERMINAL"
_OVERWRITTEN = re.compile(r".*(?:\r|\x1b\[K)")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class OnATerminal:
    """A command that runs in the foreground of a terminal, alone in its session.

    Args:
        command: its arguments from the interpreter on.
        scratch: an empty folder, which becomes its folder for temporary files.
    """

    def __init__(self, command: Sequence[str], scratch: Path) -> None:
        self._scratch = scratch
        self._mark = uuid.uuid4().hex
        self._keyboard, slave = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=environment(TMPDIR=str(scratch), TERM="xterm", COLUMNS="200", **{_MARK: self._mark}),
        )
        self.started = time.monotonic()
        os.close(slave)
        self._written = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def press_ctrl_c(self) -> None:
        """As a person does; the terminal sends SIGINT to every process of the foreground."""
        with suppress(OSError):
            os.write(self._keyboard, b"\x03")

    def wait(self) -> int:
        """Its exit code."""
        wait_until(lambda: self.process.poll() is not None, "the command did not end", details=lambda: self.text)
        return int(self.process.returncode)

    def wait_for(self, text: str) -> None:
        """Until it wrote `text`."""
        wait_until(
            lambda: text in self.text, f"{text!r} was not written", alive=self.process, details=lambda: self.text
        )

    def wait_until_it_listens(self) -> None:
        """Until it obeys signals, which begins before anything is imported."""
        wait_until(
            lambda: listens(self.process),
            "it did not listen",
            alive=self.process,
            every=0.001,
            details=lambda: self.text,
        )

    @property
    def text(self) -> str:
        """All that was written, with what was written over."""
        return self._written.decode(errors="replace")

    def lines(self) -> list[str]:
        """What stands on the terminal in the end."""
        if self.process.poll() is not None:
            wait_until(lambda: not self._reader.is_alive(), "somebody still has the terminal")
        shown = (_OVERWRITTEN.sub("", line.rstrip("\r")) for line in self.text.split("\n"))
        return [_CONTROL.sub("", line) for line in shown]

    def said(self) -> list[str]:
        """Lines that the program says of itself; a terminal shows the keys that were pressed in front of them."""
        return [line.partition("curate: ")[2] for line in self.lines() if "curate: " in line]

    def left(self) -> list[str]:
        """Processes that it left, and folders of an engine."""
        processes = [str(process) for process in psutil.process_iter() if self._is_of(process)]
        return processes + [str(path) for path in self._scratch.glob("curate-*")]

    def close(self) -> None:
        """End whatever it is at."""
        for process in psutil.process_iter():
            if self._is_of(process):
                with suppress(psutil.Error):
                    process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._keyboard)

    def _is_of(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # The one or the other: a process may start a session of its own, or write its title over its environment.
            return os.getsid(process.pid) == self.process.pid or process.environ().get(_MARK) == self._mark
        except (OSError, psutil.Error):
            return False

    def _read(self) -> None:
        with suppress(OSError):  # once no process has the terminal any more
            while some := os.read(self._keyboard, 65536):
                self._written += some


def listens(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process obeys signals as the program does; Python itself has no handler of SIGUSR1."""
    caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())
    return bool(caught and int(caught[1], 16) >> (signal.SIGUSR1 - 1) & 1)


@contextmanager
def on_a_terminal(command: Sequence[str], scratch: Path) -> Iterator[OnATerminal]:
    """See `OnATerminal`; ended with the block."""
    scratch.mkdir(parents=True)
    one = OnATerminal(command, scratch)
    try:
        yield one
    finally:
        one.close()
