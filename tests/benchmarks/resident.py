"""A contender in a process of its own: built once with the environment it wants, then asked as often as needed."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

Handler = Callable[[Any], Any]


@dataclass(frozen=True)
class Answered:
    """What a handler returned, and the seconds it took inside its process: sending to and fro does not count."""

    answer: Any
    seconds: float


Ask = Callable[[Any], Answered]


class ContenderFailed(Exception):
    """A contender raised; holds its traceback."""


@contextmanager
def resident(build: Callable[[], Handler], environment: Mapping[str, str]) -> Iterator[Ask]:
    """Asks the handler that `build`, which is picklable, makes in a new process.

    Raises:
        ContenderFailed: it cannot be built, or fails at a question.
    """
    spawn = get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, build))  # no daemon, since those may have no children
    with _environment(environment):
        process.start()
    theirs.close()

    def ask(question: object) -> Answered:
        ours.send(question)
        return _received(ours)

    try:
        _received(ours)
        yield ask
    finally:
        ours.close()
        process.join(20)
        process.kill()
        process.join()


def _received(pipe: Connection) -> Answered:
    try:
        good, seconds, answer = pipe.recv()
    except (EOFError, OSError) as error:
        raise ContenderFailed("its process ended") from error
    if not good:
        raise ContenderFailed(answer)
    return Answered(answer, seconds)


def _serve(pipe: Connection, build: Callable[[], Handler]) -> None:
    handler: Handler | None = None
    question: Any = None
    while True:
        started = time.perf_counter()
        try:
            if handler is None:
                handler, answer = build(), None
            else:
                answer = handler(question)
            pipe.send((True, time.perf_counter() - started, answer))
        except Exception:  # noqa: BLE001 - nothing is swallowed: the parent raises it
            pipe.send((False, 0.0, traceback.format_exc()))
        try:
            question = pipe.recv()
        except EOFError:
            getattr(handler, "close", _nothing)()
            return


def _nothing() -> None:
    """What a handler without `close` does at the end."""


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
