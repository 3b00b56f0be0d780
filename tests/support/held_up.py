"""`python -m tests.support.held_up WHERE HOW REACHED COMMAND...`: the program, in which a function never ends.

It has processes of its own by then, which ignore a terminal's signals, and an engine's folder.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from curate.__main__ import program
from curate.engines.engine_folder import EngineFolder


def in_a_library() -> None:
    """A call that no signal ends, without the interpreter's lock: of a lock that is taken."""
    libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(128)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)


def behind_threads() -> None:
    """A pool that is waited for although nobody wants its result any more."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(in_a_library).result()


def deaf() -> None:
    """Code that takes every exception for one of its own."""
    while True:
        with suppress(BaseException):
            time.sleep(0.1)


async def in_a_thread_of_the_loop(*_: object) -> None:
    """As a model is loaded."""
    await asyncio.to_thread(in_a_library)


HOW: dict[str, Callable[..., Any]] = {
    "in_a_library": in_a_library,
    "behind_threads": behind_threads,
    "deaf": deaf,
    "in_a_thread_of_the_loop": in_a_thread_of_the_loop,
}


def main(where: str, how: str, reached: str, *command: str) -> None:
    """Run `command`, which is held up in the function `where`, e.g. "curate.cli.commands.verify:audit"."""
    module, _, name = where.partition(":")
    *parents, last = name.split(".")
    owner = importlib.import_module(module)
    for parent in parents:
        owner = getattr(owner, parent)

    def never_ends(*arguments: object, **_: object) -> object:
        EngineFolder()
        subprocess.Popen(["sh", "-c", "trap '' INT TERM; sleep 4000 & wait"])
        Path(reached).touch()
        return HOW[how](*(arguments if how == "in_a_thread_of_the_loop" else ()))

    setattr(owner, last, never_ends)
    sys.argv[1:] = command
    program()


if __name__ == "__main__":
    main(*sys.argv[1:])
