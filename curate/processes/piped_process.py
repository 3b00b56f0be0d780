"""One worker process behind a pipe: it is asked, it answers, and when it dies the question that killed it is known.

A second question may wait in the pipe, so that the process has one at hand whenever it has answered.

`concurrent.futures.ProcessPoolExecutor` is not used because one dead worker breaks the whole pool without saying whose
fault it was, and because it waits for ever when a worker is killed in the middle of writing its result.
"""

from __future__ import annotations

import os
import pickle
import traceback
import warnings
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Event, Lock
from typing import Any, Generic, TypeVar

from curate.console.output import configure_child
from curate.core.errors import CurateError
from curate.processes.interruption import DRAIN
from curate.processes.signals import blocked, end_with, how_it_ended

Q = TypeVar("Q")
A = TypeVar("A")

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_STOP_SECONDS = 5.0


class ProcessDied(Exception):
    """The process ended before it answered; says how."""


class PipedProcess(Generic[Q, A]):
    """A process that answers questions with `handler`, one after the other, in the order in which threads ask them.

    It starts at the first question, and again after it died. It leaves signals to its parent and ends with it, even if
    the parent is killed. Numerical libraries get one thread in it.

    Args:
        handler: picklable; its copy in the process keeps its state between questions.
    """

    def __init__(self, handler: Callable[[Q], A]) -> None:
        self._handler = handler
        self._process: SpawnProcess | None = None
        self._pipe: Connection[Any, Any] | None = None
        self._asking = Lock()
        self._last_answered = Event()
        self._last_answered.set()

    def ask(self, question: Q) -> A:
        """The handler's answer.

        Raises:
            ProcessDied: instead of an answer to this question; the next one finds a new process.
            CurateError: as the handler raised it.
            RuntimeError: with the traceback of anything else that the handler raised.
        """
        answer = None
        while answer is None:
            answer = self._try(question)
        (content,) = answer
        if isinstance(content, Exception):
            raise content
        return content

    def _try(self, question: Q) -> tuple[A | Exception] | None:
        """The answer; None where the process died of a question before this one."""
        with self._asking:
            pipe = self._pipe or self._start()
            before, answered = self._last_answered, Event()
            self._last_answered = answered
            sent = _sent(pipe, question)
        before.wait()
        try:
            if pipe is not self._pipe:
                return None
            if not sent:
                raise EOFError
            return (pipe.recv(),)
        except (EOFError, OSError) as error:
            raise ProcessDied(self._end()) from error
        finally:
            answered.set()

    def stop(self) -> None:
        """End the process, if there is one, and wait until it has ended."""
        if self._process is not None:
            self._end()

    def _start(self) -> Connection[Any, Any]:
        spawn = get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(
            target=_serve, args=(theirs, pickle.dumps(self._handler), os.getpid()), daemon=True
        )
        with blocked(DRAIN):
            self._process.start()
        theirs.close()  # ours would keep the pipe open after the process has died
        return self._pipe

    def _end(self) -> str:
        """Close the pipe, which tells the process to end; how it ended."""
        with self._asking:
            pipe, process = self._pipe, self._process
            self._pipe = self._process = None
        assert pipe is not None
        assert process is not None
        pipe.close()
        process.join(_STOP_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
        code = process.exitcode or 0
        process.close()
        return how_it_ended(code)


def _sent(pipe: Connection[Any, Any], question: object) -> bool:
    """Send `question`; False where nobody is there to take it."""
    try:
        pipe.send(question)
    except OSError:
        return False
    return True


def _serve(pipe: Connection[Any, Any], pickled: bytes, parent: int) -> None:
    """Answer until the pipe closes. Runs in the worker process."""
    end_with(parent)
    os.environ.update(dict.fromkeys(_THREADS, "1"))  # read when a library loads, so before the handler's are
    configure_child()
    handler = pickle.loads(pickled)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # Pillow's remarks on odd files, one row each already
    while True:
        try:
            question = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(handler, question))


def _answer(handler: Callable[[Any], Any], question: object) -> object:
    try:
        return handler(question)
    except CurateError as error:
        return error
    except Exception:  # noqa: BLE001 - nothing is swallowed: the parent raises it
        return RuntimeError(f"in a worker process:\n{traceback.format_exc()}")
