"""One source shard into its split files: read again, checked against the decisions, copied byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, closing
from itertools import groupby
from operator import itemgetter

from curate.core.errors import InputError, ShardUnreadable
from curate.core.types import Sample, ShardRef
from curate.filtering.counts import Counts
from curate.filtering.decide import SCHEMA
from curate.filtering.decisions import Decision, Row, to_decisions
from curate.filtering.removals import Removals
from curate.filtering.rules import CLEAN
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
        frames, digests = stage.decisions(shard.id, SCHEMA.names()), stage.digests(shard.id)
        with closing(frames), closing(digests):
            rows = joined(shard, sources[shard.format], stage.dataset, to_decisions(frames), digests)
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
        writers = {part: stage.form.open(path, part, stage.settings, stage.dataset) for part, path in scratches.items()}
        _distribute(rows, writers)
        for part, name in names.items():
            stage.store.publish(scratches[part], name)


def joined(
    shard: ShardRef,
    source: Source,
    dataset: DatasetSettings,
    decisions: Iterable[Decision],
    digests: Iterable[tuple[int, str | None]],
) -> Iterator[Row]:
    """Each decision with its sample, in order, every picture of which is held against the one that was judged.

    What the shard holds beyond the last decision was not judged (the shard broke off there, or `dataset.limit` cut
    it) and is not read.

    Raises:
        InputError: the shard is not the one that was judged.
        ShardUnreadable: it cannot be read as far as it was judged.
    """
    source_samples = _SampleBySample(source.samples(shard, unlimited(dataset)))
    judged = groupby(digests, key=itemgetter(0))
    for decision, (_, rows) in zip(decisions, judged, strict=True):
        sample, found = _next(source_samples, shard, decision)
        same = (sample.index, sample.key) == (decision.index, decision.key)
        if not (same and _are_those_judged(found, [digest for _, digest in rows], decision)):
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


class _SampleBySample:
    """A source's samples, each with the digests of all its pictures; what breaks off behind one is told at the next."""

    def __init__(self, pictures: Iterator[Sample]) -> None:
        self._pictures = pictures
        self._ahead: Sample | None = None
        self._broken: ShardBroken | None = None

    def take(self) -> tuple[Sample, list[str | None]] | None:
        """The next; None at the end.

        Raises:
            ShardBroken: there is none, because the shard breaks off.
        """
        self._look_ahead()
        if self._broken is not None:
            raise self._broken
        if self._ahead is None:
            return None
        first, digests = self._ahead, []
        while self._ahead is not None and self._ahead.index == first.index:
            digests.append(_digest(self._ahead))
            self._ahead = None
            self._look_ahead()
        return first, digests

    def _look_ahead(self) -> None:
        if self._ahead is None and self._broken is None:
            try:
                self._ahead = next(self._pictures, None)
            except ShardBroken as error:
                self._broken = error


def _are_those_judged(found: Sequence[str | None], judged: Sequence[str | None], decision: Decision) -> bool:
    """Whether a sample's pictures are those that were judged.

    Runs of earlier versions have judged but the first; where there were more, the sample is in no split but `review`.
    """
    return found == judged or (len(judged) == 1 and found[:1] == judged and decision.split != CLEAN)


def _next(samples: _SampleBySample, shard: ShardRef, decision: Decision) -> tuple[Sample, list[str | None]]:
    try:
        sample = samples.take()
    except ShardBroken as error:
        raise ShardUnreadable(
            f"shard {shard.id} ({shard.url}): breaks off before key {decision.key!r}, which was judged: {error}"
        ) from error
    if sample is None:
        raise _changed(shard, decision, "is gone")
    return sample


def _digest(sample: Sample) -> str | None:
    return sample.sha256 if sample.image is None else hashlib.sha256(sample.image).hexdigest()


def _changed(shard: ShardRef, decision: Decision, what: str) -> InputError:
    return InputError(
        f"shard {shard.id} ({shard.url}): sample {decision.index}, key {decision.key!r}, {what}: the source changed "
        "since; restore it, or judge it anew in another output.dir"
    )
