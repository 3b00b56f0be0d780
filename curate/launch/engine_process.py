"""One engine process of a node: a worker as any other, which tells its parent how far it is. Light to import."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TYPE_CHECKING, Any

from curate.console.output import configure_child
from curate.core.errors import CurateError
from curate.processes.interruption import DRAIN, listen
from curate.processes.signals import end_with

if TYPE_CHECKING:
    from curate.annotation.worker import Outcome
    from curate.core.types import ShardRef
    from curate.runs.fingerprint import Fingerprint
    from curate.runs.plan import Plan
    from curate.settings.run import Settings
    from curate.telemetry.failure_budget import Tally

REPORT_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What an engine process works on: a run without its store, which each process opens for itself."""

    settings: Settings
    plan: Plan
    fingerprints: Mapping[str, Fingerprint]
    shards: Sequence[ShardRef]


class Reporter:
    """A `Display` that sends the counts through a pipe; the first time once there is work in hand."""

    def __init__(self, pipe: Connection[Any, Any], tally: Tally) -> None:
        self._pipe = pipe
        self._tally = tally
        self._told_at = 0.0

    def __enter__(self) -> None:
        self._tell()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell()

    def refresh(self) -> None:
        """See `Display`."""
        if time.monotonic() - self._told_at >= REPORT_SECONDS:
            self._tell()

    def _tell(self) -> None:
        self._told_at = time.monotonic()
        self._pipe.send(self._tally.brief())


def serve(
    pipe: Connection[Any, Any], cores: Collection[int], environment: Mapping[str, str], pickled: bytes, parent: int
) -> None:
    """Work on an `Assignment`; how that ended is the last thing sent. Runs in a process started with DRAIN blocked."""
    end_with(parent)
    os.setpgid(0, 0)  # a terminal's Ctrl-C is the parent's to hear, and to pass on once
    listen(is_child=True)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, DRAIN)
    os.sched_setaffinity(0, cores)
    os.environ.update(environment)  # before anything is imported that reads it
    configure_child()
    try:
        pipe.send(_work(pickle.loads(pickled), pipe))
    except Exception as error:  # noqa: BLE001 - a defect, which multiprocessing would show with all that is in it
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(1)


def _work(assignment: Assignment, pipe: Connection[Any, Any]) -> Outcome | CurateError:
    from curate.annotation.run_worker import run_worker
    from curate.runs.run_folder import Run
    from curate.settings.secrets import remember_secrets
    from curate.storage.factory import open_store
    from curate.storage.retrying_store import FULL_OR_READ_ONLY, storage_failed

    settings = assignment.settings
    remember_secrets(settings)
    store = open_store(settings.output.dir)
    run = Run(store=store, settings=settings, plan=assignment.plan, fingerprints=assignment.fingerprints)
    try:
        return asyncio.run(run_worker(run, assignment.shards, partial(Reporter, pipe)))
    except CurateError as error:
        return error
    except OSError as error:
        if error.errno not in FULL_OR_READ_ONLY:
            raise
        return storage_failed("write", str(error.filename or "output.dir"), error)
