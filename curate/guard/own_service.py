"""A service of one's own: a process that judges for the program that started it, and ends with it.

An engine needs a program that can be started a second time without doing anything, an event loop, signals, and memory
that only a process's end gives back. A notebook, or a script of three lines, has none of them to offer. It answers on a
socket in a folder that nobody else may enter.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from curate.core.errors import EngineDead, ExitCode, InputError
from curate.processes.process_tree import kill_with_all_below
from curate.processes.signals import how_it_ended

_ENDING_SECONDS = 15.0
_POLL_SECONDS = 0.05


class OwnService:
    """Started and ready, when it is constructed.

    Args:
        overrides: settings, as `serve` takes them.

    Attributes:
        socket: path of the socket that it answers on.

    Raises:
        InputError: a setting is wrong, or the model cannot be loaded.
        EngineDead: the process died.
    """

    def __init__(self, overrides: Sequence[str]) -> None:
        self._folder = TemporaryDirectory(prefix="curate-guard-")
        self.socket = f"{self._folder.name}/socket"
        self._errors = Path(self._folder.name) / "errors"
        mine = [f"serve.socket={self.socket}", "serve.log=false", "serve.until_stdin_ends=true"]
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "curate", "serve", *overrides, *mine],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._kill()
            raise

    @property
    def end(self) -> str | None:
        """How the process ended; None while it lives."""
        code = self._process.poll()
        return None if code is None else self._said() or how_it_ended(code)

    def close(self) -> None:
        """Let what is in flight finish, and end the process with all that it started. Idempotent."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(_ENDING_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            pass
        finally:
            self._kill()

    def _wait_until_ready(self) -> None:
        with httpx.Client(transport=httpx.HTTPTransport(uds=self.socket), trust_env=False) as client:
            while not _is_ready(client):
                if self._process.poll() is not None:
                    self._raise_end(self._process.returncode)
                time.sleep(_POLL_SECONDS)

    def _raise_end(self, code: int) -> None:
        said = self._said()
        if code == ExitCode.INPUT and said:
            raise InputError(said)
        raise EngineDead(f"the process that judges died: {said or how_it_ended(code)}")

    def _said(self) -> str | None:
        """Its last line for a person."""
        try:
            lines = self._errors.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None
        return next((line.removeprefix("curate: ") for line in reversed(lines) if line.startswith("curate: ")), None)

    def _kill(self) -> None:
        if self._process.poll() is None:
            kill_with_all_below(self._process.pid)
            self._process.wait()
        self._folder.cleanup()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("http://guard/ready").status_code == 200
    except httpx.TransportError:
        return False
