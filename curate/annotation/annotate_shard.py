"""One shard from its source to its commits: read, prepare, judge, write rows in order, publish, commit.

Every picture is one coroutine that ends in one row for each pass (a policy of the run, or each row's own), whatever
happens to it (`_rows_of`); a sample without any counts as one. Rows reach the journals in the order of the samples, so
a checkpoint is always a prefix of the shard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import NamedTuple

from curate.annotation.backpressure import Gate, GateClosed, Ticket
from curate.annotation.duplicates import Label, Occurrence, relabelled
from curate.annotation.judge_sample import frames_left_of, judge, meta_of, unjudged_of
from curate.annotation.label_reuse import LabelReuse
from curate.annotation.preprocess_pool import Pool, digest_of
from curate.annotation.reorder_buffer import Backlog, ReorderBuffer
from curate.annotation.shard_writer import Identity, ShardWriter
from curate.core.errors import CurateError, Drained, ShardUnreadable
from curate.core.secrets import one_line
from curate.core.threads import in_thread, uninterrupted
from curate.core.types import Annotation, Damage, Question, Sample, ShardRef, Unaskable
from curate.engines.base import Engine
from curate.judges.questions import Questions, QuestionsFor
from curate.runs.commits import Commit, commit_name
from curate.settings.dataset import DatasetSettings
from curate.sources.base import ShardBroken
from curate.sources.passed_over import PassedOverLedger
from curate.sources.registry import source_for
from curate.storage.store import Store
from curate.telemetry.failure_budget import Tally
from curate.telemetry.meter import Meter, Stopwatch
from curate.telemetry.metrics import Gauge, Step

Rows = list[tuple[ShardWriter, int, Annotation]]
"""Where a row goes, which row it is there, and the row."""


class ReadSample(NamedTuple):
    """A picture as it is read.

    Attributes:
        number: of its row.
        sample: with the digest of its image.
        questions: what it is asked, by pass.
        reusable: labels that earlier runs have for the same image, by pass.
    """

    number: int
    sample: Sample
    questions: Questions
    reusable: Mapping[str, Label]


class PendingRow(NamedTuple):
    """The row that a picture has yet to get in one pass.

    Attributes:
        writer: where it goes.
        number: which row it is there.
        question: what the sample is asked, should it be judged.
        kept: the row that this run gave it before a retry.
        occurrence: of the image, among the shard's samples with the same bytes.
        reusable: an earlier run's label for the same image.
    """

    writer: ShardWriter
    number: int
    question: Question | Unaskable
    kept: Annotation | None
    occurrence: Occurrence
    reusable: Label | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerContext:
    """What a worker judges all its shards with.

    Attributes:
        questions_for: what a sample is asked, by pass, in the order of `fingerprints`.
        fingerprints: digest by pass (see `curate.settings.run.passes_of`).
        gate: bounds what is in flight over all shards; closed to drain.
        backlog: bounds what a kill may cost, over all shards.
        shards_in_flight: at once.
        meter: measures it.
        labels: what its labels are, where they do not come from a model.
    """

    store: Store
    dataset: DatasetSettings
    questions_for: QuestionsFor
    fingerprints: Mapping[str, str]
    plan_hash: str
    worker: str
    engine: Engine
    pool: Pool
    label_reuse: LabelReuse
    gate: Gate
    backlog: Backlog
    shards_in_flight: int
    tally: Tally
    meter: Meter
    labels: str | None = None


async def annotate_shard(shard: ShardRef, version: str | None, context: WorkerContext) -> list[Commit]:
    """Judge every sample of `shard` that has no row yet, in every pass, and commit.

    However this ends, rows that were delivered in order are checkpointed.

    Raises:
        ShardUnreadable: it cannot be opened.
        InputError: the data needs a decision of the user.
        Drained: the gate was closed before the end.
        BudgetExceeded, EngineDead: as the tally and the engine say.
    """
    started = time.monotonic()
    writers = await asyncio.to_thread(_open_writers, shard, version, context)
    buffer: ReorderBuffer[Rows] = ReorderBuffer(context.backlog)
    ledger = PassedOverLedger()
    try:
        damage = await _start_all(shard, writers, context, buffer, ledger)
        while buffer:
            await _deliver(buffer, context)
    except GateClosed:
        while buffer:
            await _deliver(buffer, context)
        raise Drained(f"stopped in {shard.id}") from None
    finally:
        await _abandon(buffer, context)
        for one in writers:
            await _checkpoint(one, context.meter)
    seconds = time.monotonic() - started
    with context.meter.timed(Step.WRITE):
        return [await asyncio.to_thread(one.publish, damage, ledger.found, context.worker, seconds) for one in writers]


def _open_writers(shard: ShardRef, version: str | None, context: WorkerContext) -> list[ShardWriter]:
    unfinished = [name for name in context.fingerprints if not context.store.exists(commit_name(name, shard.id))]
    return [ShardWriter(context.store, shard, name, _identity(context, name, version)) for name in unfinished]


def _identity(context: WorkerContext, name: str, version: str | None) -> Identity:
    return Identity(
        fingerprint=context.fingerprints[name],
        plan_hash=context.plan_hash,
        version=version,
        labels=context.labels,
    )


async def _start_all(
    shard: ShardRef,
    writers: Sequence[ShardWriter],
    context: WorkerContext,
    buffer: ReorderBuffer[Rows],
    ledger: PassedOverLedger,
) -> Damage | None:
    """Start a task for every picture without a row; the damage, where the shard breaks off."""
    with closing(_unjudged(shard, writers, context, ledger)) as samples:
        timed = Stopwatch(samples)
        try:
            async for read in in_thread(timed):
                context.meter.add(Step.READ, timed.last)
                await _start(read, shard, writers, context, buffer)
        except ShardBroken as broken:
            return broken.damage
    return None


async def _start(
    read: ReadSample,
    shard: ShardRef,
    writers: Sequence[ShardWriter],
    context: WorkerContext,
    buffer: ReorderBuffer[Rows],
) -> None:
    """Start the task of one picture once there is room for it, and deliver what is finished in front of it."""
    with context.meter.timed(Step.PLACE):
        ticket = await context.gate.enter()
    pending = [_pending_row(one, read) for one in writers if read.number >= one.start]
    buffer.begin(_rows_of(read.sample, shard, pending, context, ticket))
    while buffer.is_due:
        await _deliver(buffer, context)


def _pending_row(one: ShardWriter, read: ReadSample) -> PendingRow:
    sample, question = read.sample, read.questions[one.policy]
    # What cannot be asked comes to no label that could be repeated.
    digest = None if isinstance(question, Unaskable) else sample.sha256
    occurrence = one.duplicates.occurrence(digest, question.policy)
    return PendingRow(one, read.number, question, one.kept(sample), occurrence, read.reusable.get(one.policy))


def _unjudged(
    shard: ShardRef, writers: Sequence[ShardWriter], context: WorkerContext, ledger: PassedOverLedger
) -> Generator[ReadSample, None, None]:
    """The pictures of a shard from the first that some pass has no row for."""
    start = min((one.start for one in writers), default=0)
    samples = _guarded(shard, source_for(shard.format).samples(shard, context.dataset, ledger.add))
    taken = takewhile(lambda sample: shard.take is None or sample.index < shard.take, samples)
    for number, sample in enumerate(taken):
        if number >= start:
            yield _read(number, replace(sample, sha256=digest_of(sample)), writers, context)


def _guarded(shard: ShardRef, samples: Iterator[Sample]) -> Iterator[Sample]:
    """The samples of a source. Whatever its libraries come upon is this shard's fate, and not the run's.

    Raises:
        ShardUnreadable: in place of an error that no source knows.
    """
    last: Sample | None = None
    try:
        for last in samples:
            yield last
    except (CurateError, ShardBroken):
        raise
    except Exception as error:
        where = "at its beginning" if last is None else f"behind key {last.key!r}"
        said = f"its reader failed {where} ({one_line(error)}); please report it"
        raise ShardUnreadable(f"{shard.url}: {said}") from error


def _read(number: int, sample: Sample, writers: Sequence[ShardWriter], context: WorkerContext) -> ReadSample:
    found = {one.policy: context.label_reuse.find(one.policy, sample.sha256) for one in writers if number >= one.start}
    known = {policy: label for policy, label in found.items() if label}
    return ReadSample(number, sample, context.questions_for(sample), known)


async def _deliver(buffer: ReorderBuffer[Rows], context: WorkerContext) -> None:
    """Give each pass its row; only then save, so that a storage that fails leaves all of them at the same picture."""
    rows = await buffer.take()
    context.meter.levels[Gauge.ROWS].change(-1)
    for one, number, row in rows:
        one.journal.add(number, row)
        context.tally.add(row)
    for one, _, _ in rows:
        if one.journal.is_due(context.shards_in_flight):
            await _checkpoint(one, context.meter)


async def _checkpoint(one: ShardWriter, meter: Meter) -> None:
    with meter.timed(Step.WRITE):
        await uninterrupted(one.journal.checkpoint)


async def _abandon(buffer: ReorderBuffer[Rows], context: WorkerContext) -> None:
    """Deliver what is finished in order, and cancel the rest."""
    while buffer.has_result:
        await _deliver(buffer, context)
    await buffer.cancel()


async def _rows_of(
    sample: Sample, shard: ShardRef, pending: Sequence[PendingRow], context: WorkerContext, ticket: Ticket
) -> Rows:
    """The one row of a picture in every pass that has none yet: kept from before, of another's label, or a new one."""
    try:
        with context.meter.levels[Gauge.FLIGHT].inside():
            known = [one.kept or await _reused(sample, shard, one) for one in pending]
            new = {one.writer.policy: one.question for one, row in zip(pending, known, strict=True) if row is None}
            judged = await judge(sample, shard.id, new, context.pool, context.engine, ticket.settle) if new else {}
        rows = [row or judged[one.writer.policy] for one, row in zip(pending, known, strict=True)]
        for one, row in zip(pending, rows, strict=True):
            one.occurrence.settle(row)
        context.meter.samples += any(one.kept is None for one in pending)
        context.meter.levels[Gauge.ROWS].change(1)
        return [(one.writer, one.number, row) for one, row in zip(pending, rows, strict=True)]
    finally:
        ticket.leave()


async def _reused(sample: Sample, shard: ShardRef, pending: PendingRow) -> Annotation | None:
    """The row of a picture with the label of the same image in its shard, or else in an earlier run."""
    first = await pending.occurrence.first_labelled()
    label = pending.reusable if first is None else Label(first, f"{first.shard}/{first.index}")
    if label is None:
        return None
    return relabelled(label, sample, shard.id, meta_of(sample), unjudged_of(sample, frames_left_of(label.row)))
