"""One worker process behind a pipe: it is asked, it answers, and when it dies the question that killed it is known.

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
from typing import Any, Generic, TypeVar

from curate.console import configure_child
from curate.errors import CurateError
from curate.signals import DRAIN, blocked, end_with, how_it_ended

Q = TypeVar("Q")
A = TypeVar("A")

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_STOP_SECONDS = 5.0


class WorkerDied(Exception):
    """The process ended before it answered; says how."""


class WorkerProcess(Generic[Q, A]):
    """A process that answers questions with `handler`, one at a time; to be used by one thread at a time.

    It starts at the first question, and again after it died. It leaves signals to its parent and ends with it, even if
    the parent is killed. Numerical libraries get one thread in it.

    Args:
        handler: picklable; its copy in the process keeps its state between questions.
    """

    def __init__(self, handler: Callable[[Q], A]) -> None:
        self._handler = handler
        self._process: SpawnProcess | None = None
        self._pipe: Connection[Any, Any] | None = None

    def ask(self, question: Q) -> A:
        """The handler's answer.

        Raises:
            WorkerDied: instead of an answer; the next question finds a new process.
            CurateError: as the handler raised it.
            RuntimeError: with the traceback of anything else that the handler raised.
        """
        pipe = self._pipe or self._start()
        try:
            pipe.send(question)
            answer = pipe.recv()
        except (EOFError, OSError) as error:
            raise WorkerDied(self._end()) from error
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

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
        assert self._pipe is not None
        assert self._process is not None
        self._pipe.close()
        self._process.join(_STOP_SECONDS)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        code = self._process.exitcode or 0
        self._process.close()
        self._pipe = self._process = None
        return how_it_ended(code)


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
