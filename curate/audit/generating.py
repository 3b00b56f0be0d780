"""The generate stage: shard by shard, batch by batch, until every picture that was asked for is made or has a reason.

A batch is always the same draws of the same shard, wherever a kill fell, since pictures may depend on their batch in
the last bits.

Several processes may work in one folder, each with a share of the shards. Who is through with its own helps with those
of others, from their ends, so that both meet in the middle; what two of them make alike is kept once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from curate.audit.draws import Draw, Draws
from curate.audit.generator import Failed, Generator, Identity, Made
from curate.audit.record import told_versions
from curate.audit.shard_files import (
    drop_piece,
    finished_shards,
    is_made,
    keep_piece,
    members_of,
    publish,
)
from curate.console.phases import phase
from curate.core.errors import Drained, InputError
from curate.processes.interruption import drains
from curate.storage.store import Store
from curate.telemetry.progress import Counted

HOPELESS = 20
"""Draws that fail, before anything was made, after which none of the others is tried."""


class Generating:
    """One process on its way through an audit's shards.

    Args:
        store: the audit's folder.
        draws: what is asked for.
        generator: who is asked.
        identity: what it is.
        batch: draws that it takes at once.
        share: which share of the shards this process takes first, from 0, and of how many.
    """

    def __init__(
        self,
        store: Store,
        draws: Draws,
        generator: Generator,
        identity: Identity,
        batch: int,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self._store = store
        self._draws = draws
        self._generator = generator
        self._identity = identity
        self._batch = batch
        self._mine, self._shares = share
        self._told_to_end = False
        self._hopeless: list[tuple[int, int]] | None = []
        self._failed = 0
        self._complete: list[tuple[int, int]] = []

    def run(self) -> None:
        """Make what is not there yet.

        Raises:
            Drained: a signal came; what was begun is finished.
            InputError: the generator does not take what it is given, or everything fails.
            GeneratorFailed: it does not answer.
        """
        done = finished_shards(self._store)
        left = [shard for shard in range(self._draws.shards) if shard not in done]
        if not left:
            return
        with phase("starting the generator"):
            told_versions(self._store, self._generator.made_with())
        todo = sum(len(self._draws.of_shard(shard)) for shard in left)
        with (
            phase("generating") as shown,
            closing(Counted(shown)) as counted,
            drains(lambda: "the pictures that are being generated", self._end),
        ):
            counted.begin(todo)
            for shard in sorted(left, key=lambda shard: (not self._is_mine(shard), shard)):
                self._shard(shard, counted)
            self._publish()

    def _shard(self, shard: int, counted: Counted) -> None:
        draws = self._draws.of_shard(shard)
        pieces = [draws[first : first + self._batch] for first in range(0, len(draws), self._batch)]
        numbers = range(len(pieces))
        for number in numbers if self._is_mine(shard) else reversed(numbers):
            if not is_made(self._store, shard, number):
                self._go_on_or_end()
                self._piece(shard, number, pieces[number])
            counted.add(len(pieces[number]))
        self._complete.append((shard, len(pieces)))
        if not self._hopeless:
            self._publish()

    def _is_mine(self, shard: int) -> bool:
        return shard % self._shares == self._mine

    def _publish(self) -> None:
        for shard, pieces in self._complete:
            publish(self._store, shard, pieces)
        self._complete.clear()

    def _piece(self, shard: int, number: int, draws: Sequence[Draw]) -> None:
        made = self._generator.generate(draws)
        keep_piece(self._store, shard, number, members_of(draws, made, self._identity))
        self._hope(shard, number, made)

    def _hope(self, shard: int, number: int, made: list[Made]) -> None:
        """Where nothing but failures came so far, that is the settings' fault: forget them, and say so."""
        if self._hopeless is None or not all(isinstance(one, Failed) for one in made):
            self._hopeless = None
            return
        self._hopeless.append((shard, number))
        self._failed += len(made)
        if self._failed >= min(HOPELESS, len(self._draws)):
            for piece in self._hopeless:
                drop_piece(self._store, *piece)
            first = next(one.reason for one in made if isinstance(one, Failed))
            raise InputError(f"generator: nothing but failures from the start ({self._failed}): {first}")

    def _go_on_or_end(self) -> None:
        if self._told_to_end:
            raise Drained("generating was stopped; run the same command again to go on")

    def _end(self) -> None:
        self._told_to_end = True
