"""One source shard into its split files: read again, checked against the decisions, copied byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import ExitStack

from curate.core.errors import InputError, ShardUnreadable
from curate.core.types import Sample, ShardRef
from curate.filtering.counts import Counts
from curate.filtering.decide import SCHEMA
from curate.filtering.decisions import Decision, Row, to_decisions
from curate.filtering.removals import Removals
from curate.filtering.stage import Progress, Stage
from curate.filtering.writer import SplitWriter
from curate.settings.dataset import DatasetSettings
from curate.sources.base import ShardBroken, Source, unlimited
from curate.storage.retrying_store import scratch_file


def copy_shard(
    stage: Stage, position: int, sources: Mapping[str, Source], present: Set[str], removed: Removals, progress: Progress
) -> Counts:
    """Write what is missing of the split files of a shard, and count its samples.

    The annotations are gone through twice: which files there will be is known before the source is read for them.

    Args:
        stage: whose `form` holds the samples themselves.
        position: of the shard in the stage.
        sources: readers by `ShardRef.format`.
        present: names of files that are there already.
        removed: where removed samples go.
        progress: told about each sample.

    Raises:
        InputError: the shard is not the one that was judged.
        ShardUnreadable: it cannot be read as far as it was judged.
    """
    shard = stage.shards[position]
    counted = _count(stage, position, removed)
    names = {part: stage.file(part, shard.id) for part in sorted(counted.parts())}
    missing = {part: name for part, name in names.items() if name not in present}
    if missing:
        decisions = to_decisions(stage.decisions(shard.id, SCHEMA.names()))
        rows = joined(shard, sources[shard.format], stage.dataset, decisions)
        write_files(stage, _counted(rows, progress), missing)
    else:
        progress(counted.rows)
    return counted


def write_files(stage: Stage, rows: Iterable[Row], names: Mapping[str, str]) -> None:
    """Write the rows of one shard and publish one file for each part in `names`; other parts are passed over.

    Nothing is published before the last row was read and checked.

    Args:
        stage: its format says what the files are.
        rows: every row of the shard.
        names: part to file name in the store; each part has at least one row.
    """
    assert stage.form.open is not None
    with ExitStack() as files:
        scratches = {part: files.enter_context(scratch_file(stage.store)) for part in names}
        writers = {part: stage.form.open(path, stage.settings, stage.dataset) for part, path in scratches.items()}
        _distribute(rows, writers)
        for part, name in names.items():
            stage.store.publish(scratches[part], name)


def joined(shard: ShardRef, source: Source, dataset: DatasetSettings, decisions: Iterable[Decision]) -> Iterator[Row]:
    """Each decision with its sample, in order.

    What the shard holds beyond the last decision was not judged (the shard broke off there, or `dataset.limit` cut
    it) and is not read.

    Raises:
        InputError: the shard is not the one that was judged.
        ShardUnreadable: it cannot be read as far as it was judged.
    """
    samples = source.samples(shard, unlimited(dataset))
    for decision in decisions:
        sample = _next(samples, shard, decision)
        if (sample.index, sample.key, _digest(sample)) != (decision.index, decision.key, decision.sha256):
            raise _changed(shard, decision, "is not the one that was judged")
        yield Row(decision=decision, sample=sample)


def _count(stage: Stage, position: int, removed: Removals) -> Counts:
    counted = Counts(stage.dataset)
    for window, decisions in enumerate(stage.decisions(stage.shards[position].id, stage.short_columns)):
        counted.take(decisions)
        removed.take(decisions, position, window)
    return counted


def _counted(rows: Iterable[Row], progress: Progress) -> Iterator[Row]:
    for row in rows:
        yield row
        progress(1)


def _distribute(rows: Iterable[Row], writers: Mapping[str, SplitWriter]) -> None:
    for row in rows:
        writer = writers.get(row.decision.part)
        if writer is not None:
            writer.add(row)
    for writer in writers.values():
        writer.close()


def _next(samples: Iterator[Sample], shard: ShardRef, decision: Decision) -> Sample:
    try:
        sample = next(samples, None)
    except ShardBroken as error:
        raise ShardUnreadable(
            f"shard {shard.id} ({shard.url}): breaks off before key {decision.key!r}, which was judged: {error}"
        ) from error
    if sample is None:
        raise _changed(shard, decision, "is gone")
    return sample


def _digest(sample: Sample) -> str | None:
    return None if sample.image is None else hashlib.sha256(sample.image).hexdigest()


def _changed(shard: ShardRef, decision: Decision, what: str) -> InputError:
    return InputError(
        f"shard {shard.id} ({shard.url}): sample {decision.index}, key {decision.key!r}, {what}: the source changed "
        "since; restore it, or judge it anew in another output.dir"
    )
