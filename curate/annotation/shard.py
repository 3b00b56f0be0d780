"""One shard from its source to its commits: read, prepare, judge, write rows in order, publish, commit.

Every sample is one coroutine that ends in one row for each pass (a policy of the run, or each row's own), whatever
happens to it (`_fates`). Rows reach the journals in the order of the samples, so a checkpoint is always a prefix of the
shard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from curate.annotation.backpressure import Gate, GateClosed, Ticket
from curate.annotation.duplicates import Label, Turn, relabelled
from curate.annotation.label_reuse import EarlierRuns
from curate.annotation.preprocess_pool import Pool, digest_of
from curate.annotation.reorder_buffer import Backlog, Window
from curate.annotation.sample import judge, meta_of
from curate.annotation.shard_writer import Identity, Pass
from curate.core.errors import Drained
from curate.core.threads import in_thread, uninterrupted
from curate.core.types import Annotation, Damage, Question, Sample, ShardRef, Unaskable
from curate.engines.base import Engine
from curate.judges.questions import Asked, Asking
from curate.runs.commits import Commit, commit_name
from curate.settings.dataset import DatasetSettings
from curate.sources.base import ShardBroken
from curate.sources.registry import source_for
from curate.storage.store import Store
from curate.telemetry.failure_budget import Tally
from curate.telemetry.meter import Meter, Stopwatch
from curate.telemetry.metrics import Gauge, Stage

Rows = list[tuple[Pass, Annotation]]


class Case(NamedTuple):
    """A sample as it is read: what it is asked, and labels that earlier runs have for it, both by pass."""

    sample: Sample
    asked: Asked
    earlier: Mapping[str, Label]


class Due(NamedTuple):
    """A sample without a row in a pass: what it is asked, and where its row may come from before it is judged.

    Attributes:
        kept: the row that this run gave it before a retry.
        turn: among the shard's samples with the same bytes.
        earlier: an earlier run's label.
    """

    pass_: Pass
    question: Question | Unaskable
    kept: Annotation | None
    turn: Turn
    earlier: Label | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What every shard of a run is judged with.

    Attributes:
        asking: what a sample is asked, by pass, in the order of `fingerprints`.
        fingerprints: digest by pass (see `curate.settings.run.passes_of`).
        gate: bounds what is in flight over all shards; closed to drain.
        backlog: bounds what a kill may cost, over all shards.
        lanes: shards in flight at once.
        meter: measures it.
    """

    store: Store
    dataset: DatasetSettings
    asking: Asking
    fingerprints: Mapping[str, str]
    plan_hash: str
    worker: str
    engine: Engine
    pool: Pool
    earlier: EarlierRuns
    gate: Gate
    backlog: Backlog
    lanes: int
    tally: Tally
    meter: Meter


async def annotate_shard(shard: ShardRef, version: str | None, shop: Workshop) -> list[Commit]:
    """Judge every sample of `shard` that has no row yet, in every pass, and commit.

    However this ends, rows that were delivered in order are checkpointed.

    Raises:
        ShardUnreadable: it cannot be opened.
        InputError: the data needs a decision of the user.
        Drained: the gate was closed before the end.
        BudgetExceeded, EngineDead: as the tally and the engine say.
    """
    started = time.monotonic()
    passes = await asyncio.to_thread(_open_passes, shard, version, shop)
    window: Window[Rows] = Window(shop.backlog)
    try:
        damage = await _feed(shard, passes, shop, window)
        while window:
            await _deliver(window, shop)
    except GateClosed:
        while window:
            await _deliver(window, shop)
        raise Drained(f"stopped in {shard.id}") from None
    finally:
        await _abandon(window, shop)
        for one in passes:
            await _checkpoint(one, shop.meter)
    seconds = time.monotonic() - started
    with shop.meter.timed(Stage.WRITE):
        return [await asyncio.to_thread(one.publish, damage, shop.worker, seconds) for one in passes]


def _open_passes(shard: ShardRef, version: str | None, shop: Workshop) -> list[Pass]:
    unfinished = [name for name in shop.fingerprints if not shop.store.exists(commit_name(name, shard.id))]
    return [Pass(shop.store, shard, name, _identity(shop, name, version)) for name in unfinished]


def _identity(shop: Workshop, name: str, version: str | None) -> Identity:
    return Identity(fingerprint=shop.fingerprints[name], plan_hash=shop.plan_hash, version=version)


async def _feed(shard: ShardRef, passes: Sequence[Pass], shop: Workshop, window: Window[Rows]) -> Damage | None:
    """Start a task for every sample without a row; the damage, where the shard breaks off."""
    with closing(_pending(shard, passes, shop)) as samples:
        timed = Stopwatch(samples)
        try:
            async for case in in_thread(timed):
                shop.meter.add(Stage.READ, timed.last)
                await _admit(case, shard, passes, shop, window)
        except ShardBroken as broken:
            return broken.damage
    return None


async def _admit(case: Case, shard: ShardRef, passes: Sequence[Pass], shop: Workshop, window: Window[Rows]) -> None:
    """Start the task of one sample once there is room for it, and deliver what is finished in front of it."""
    with shop.meter.timed(Stage.PLACE):
        ticket = await shop.gate.enter()
    due = [_due(one, case) for one in passes if case.sample.index >= one.start]
    window.begin(_fates(case.sample, shard, due, shop, ticket))
    while window.is_due:
        await _deliver(window, shop)


def _due(one: Pass, case: Case) -> Due:
    sample, question = case.sample, case.asked[one.policy]
    # What cannot be asked comes to no label that could be repeated.
    digest = None if isinstance(question, Unaskable) else sample.sha256
    turn = one.repeats.turn(digest, question.policy)
    return Due(one, question, one.kept(sample.index), turn, case.earlier.get(one.policy))


def _pending(shard: ShardRef, passes: Sequence[Pass], shop: Workshop) -> Generator[Case, None, None]:
    """The samples of a shard from the first that some pass has no row for."""
    start = min((one.start for one in passes), default=0)
    samples = source_for(shard.format).samples(shard, shop.dataset)
    for sample in islice(samples, start, shard.take):
        yield _case(replace(sample, sha256=digest_of(sample)), passes, shop)


def _case(sample: Sample, passes: Sequence[Pass], shop: Workshop) -> Case:
    found = {one.policy: shop.earlier.find(one.policy, sample.sha256) for one in passes if sample.index >= one.start}
    return Case(sample, shop.asking(sample), {policy: label for policy, label in found.items() if label})


async def _deliver(window: Window[Rows], shop: Workshop) -> None:
    """Give each pass its row; only then save, so that a storage that fails leaves all of them at the same sample."""
    rows = await window.take()
    shop.meter.levels[Gauge.ROWS].change(-1)
    for one, row in rows:
        one.journal.add(row)
        shop.tally.add(row)
    for one, _ in rows:
        if one.journal.is_due(shop.lanes):
            await _checkpoint(one, shop.meter)


async def _checkpoint(one: Pass, meter: Meter) -> None:
    with meter.timed(Stage.WRITE):
        await uninterrupted(one.journal.checkpoint)


async def _abandon(window: Window[Rows], shop: Workshop) -> None:
    """Deliver what is finished in order, and cancel the rest."""
    while window.has_result:
        await _deliver(window, shop)
    await window.cancel()


async def _fates(sample: Sample, shard: ShardRef, due: Sequence[Due], shop: Workshop, ticket: Ticket) -> Rows:
    """The one row of `sample` in every pass that has none yet: kept from before, of another's label, or a new one."""
    try:
        with shop.meter.levels[Gauge.FLIGHT].inside():
            known = [one.kept or await _reused(sample, shard, one) for one in due]
            new = {one.pass_.policy: one.question for one, row in zip(due, known, strict=True) if row is None}
            judged = await judge(sample, shard.id, new, shop.pool, shop.engine, ticket.settle) if new else {}
        rows = [row or judged[one.pass_.policy] for one, row in zip(due, known, strict=True)]
        for one, row in zip(due, rows, strict=True):
            one.turn.settle(row)
        shop.meter.samples += any(one.kept is None for one in due)
        shop.meter.levels[Gauge.ROWS].change(1)
        return [(one.pass_, row) for one, row in zip(due, rows, strict=True)]
    finally:
        ticket.leave()


async def _reused(sample: Sample, shard: ShardRef, due: Due) -> Annotation | None:
    """The row of `sample` with the label of the same picture in its shard, or else in an earlier run."""
    row = await due.turn.earlier()
    label = due.earlier if row is None else Label(row, f"{row.shard}/{row.index}")
    return None if label is None else relabelled(label, sample, shard.id, meta_of(sample))
