"""Several engines in one node: a process for each, and this one, which only watches over them.

Each engine process is a worker as if started by hand: it takes shards by claims, and what it leaves behind when it dies
is taken over by the others. Shared are the progress that a person sees, the failure budget, signals and the exit code.
"""

from __future__ import annotations

import math
import os
import pickle
import signal
from collections import ChainMap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Event
from typing import Any

from curate.annotation.worker import EARLY_END, Outcome
from curate.console.output import complain
from curate.core.errors import BudgetExceeded, CurateError, Drained, EngineDead
from curate.core.types import ShardRef
from curate.engines.engine_folder import remove_abandoned
from curate.launch.device_placement import Placement
from curate.launch.engine_process import Assignment, serve
from curate.processes.interruption import DRAIN, STOP, at_end, drains
from curate.processes.process_tree import kill_with_all_below
from curate.processes.signals import blocked, how_it_ended
from curate.runs.run_folder import Run
from curate.settings.run import Budget
from curate.telemetry.failure_budget import Tally
from curate.telemetry.progress import Display

LOOK_SECONDS = 0.2
UNLIMITED = Budget(engine=math.inf, data=math.inf)
"""Of each engine process: the run's budget is held against the counts of all of them, by their parent."""
_END_SECONDS = 10.0


@dataclass(slots=True, eq=False)
class EngineProcess:
    """An engine process as its parent sees it.

    Attributes:
        tally: what it last told of its counts; None while it loads its model and holds no shard.
        end: what it ended with; None while it runs.
    """

    placement: Placement
    process: SpawnProcess
    pipe: Connection[Any, Any]
    tally: Tally | None = None
    end: Outcome | CurateError | None = None

    def hear(self) -> None:
        """Take the next thing that it says; its death is one."""
        try:
            told = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            told = EngineDead(f"died ({how_it_ended(self.process.exitcode or 0)})")
        if isinstance(told, Tally):
            self.tally = told
            return
        self.end = told
        if isinstance(told, Outcome):
            self.tally = told.tally

    def send(self, number: signal.Signals) -> None:
        """Pass a signal on; a process that still loads its model has nothing to finish, and ends at once.

        It has told that it begins before it takes a shard, but that may not have been heard yet.
        """
        if self.tally is None and self.pipe.poll():
            self.hear()
        if self.end is None and self.process.is_alive():
            pid = self.process.pid or 0
            if self.tally:
                os.kill(pid, number)
            else:
                kill_with_all_below(pid)

    def close(self) -> None:
        """Wait for the process to end where it said that it would; make it end where it did not."""
        if self.end is not None:
            self.process.join(_END_SECONDS)
        if self.process.is_alive():
            kill_with_all_below(self.process.pid or 0)
        self.process.join()
        self.pipe.close()


class Node:
    """The engine processes of this machine, from their start to their end.

    Args:
        tally: becomes the sum of their counts, which the run's budget is held against.

    Attributes:
        losses: processes that died or whose engine did, and how; the others went on.
    """

    def __init__(self, tally: Tally) -> None:
        self.losses: list[str] = []
        self._tally = tally
        self._members: list[EngineProcess] = []
        self._stop: CurateError | None = None
        self._told_to_drain = Event()
        self._told_to_stop = Event()

    @property
    def has_begun(self) -> bool:
        """Whether any process has loaded its model."""
        return any(member.tally is not None for member in self._members)

    def run(self, assignments: Iterable[tuple[Placement, Assignment]], display: Display) -> Outcome:
        """Start a process for each assignment, and watch them to their ends.

        Raises:
            Drained: a signal asked for an early end; start again to go on.
            BudgetExceeded: the failures of all processes together are implausible.
            CurateError: what stopped one of them would stop each, e.g. storage that cannot be written.
        """
        try:
            at_end(remove_abandoned)  # by the engines of processes that are killed
            with drains(self._in_flight, self._told_to_drain.set, self._told_to_stop.set), display:
                for placement, assignment in assignments:
                    self._members.append(_start(placement, assignment))
                while working := [m for m in self._members if m.end is None]:
                    self._listen(working)
                    self._obey()
                    display.refresh()
        finally:
            for member in self._members:
                member.close()
            remove_abandoned()
        if self._stop is not None:
            raise self._stop
        ends = [m.end for m in self._members if isinstance(m.end, Outcome)]
        return Outcome(tally=self._tally, unreadable=dict(ChainMap(*(end.unreadable for end in ends))))

    def _listen(self, working: Sequence[EngineProcess]) -> None:
        speaking = connection.wait([m.pipe for m in working], LOOK_SECONDS)
        for member in (m for m in working if m.pipe in speaking):
            member.hear()
            if member.end is not None:
                self._note_end(member, member.end)
        self._tally.gather([m.tally for m in self._members if m.tally is not None])
        try:
            self._tally.check()
        except BudgetExceeded as error:
            self._stop_all(error)

    def _note_end(self, member: EngineProcess, end: Outcome | CurateError) -> None:
        if isinstance(end, EngineDead):
            if self._stop is None:
                self.losses.append(f"{member.placement.name}: {end}")
                complain(self.losses[-1])
        elif isinstance(end, CurateError):
            self._stop_all(end)

    def _obey(self) -> None:
        """The first signal lets what is in flight finish, in every process; a second Ctrl-C does not."""
        if self._told_to_drain.is_set():
            self._stop_all(Drained(EARLY_END))
        if self._told_to_stop.is_set():
            self._told_to_stop.clear()
            self._pass_on(STOP)

    def _in_flight(self) -> str | None:
        """What a signal lets finish; a process that still loads its model has nothing to finish."""
        working = sum(member.tally is not None and member.end is None for member in self._members)
        return f"what is in flight in {working} engine process{'' if working == 1 else 'es'}" if working else None

    def _stop_all(self, reason: CurateError) -> None:
        if self._stop is None:
            self._stop = reason
            self._pass_on(signal.SIGTERM)

    def _pass_on(self, number: signal.Signals) -> None:
        for member in self._members:
            member.send(number)


def assign(run: Run, placed: Sequence[Placement], shards: Sequence[ShardRef]) -> Iterator[tuple[Placement, Assignment]]:
    """What the process at each place works on: all of `shards`; a fixed share where the store does not arbitrate."""
    settings = run.settings.model_copy(update={"budget": UNLIMITED})
    fixed = not run.store.arbitrates()
    for placement in placed:
        share = shards[placement.number :: len(placed)] if fixed else shards
        yield placement, Assignment(settings=settings, plan=run.plan, fingerprints=run.fingerprints, shards=share)


def _start(placement: Placement, assignment: Assignment) -> EngineProcess:
    spawn = get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(
        target=serve,
        name=placement.name,
        args=(theirs, placement.cores, placement.environment, pickle.dumps(assignment), os.getpid()),
    )
    with blocked(DRAIN):
        process.start()
    theirs.close()  # ours would keep the pipe open after the process has died
    return EngineProcess(placement=placement, process=process, pipe=ours)
