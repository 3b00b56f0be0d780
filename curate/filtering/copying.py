"""One source shard into its split files: read again, checked against the decisions, copied byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack

from curate.errors import InputError, ShardUnreadable
from curate.filtering.rows import Decision, Row
from curate.filtering.writer import Format, SplitWriter
from curate.retrying_store import scratch_file
from curate.settings import DatasetSettings, FilterSettings
from curate.sources.base import ShardBroken, Source, unlimited
from curate.store import Store
from curate.types import Sample, ShardRef


def write_files(
    rows: Iterable[Row],
    names: Mapping[str, str],
    form: Format,
    store: Store,
    filtering: FilterSettings,
    dataset: DatasetSettings,
) -> None:
    """Write the rows of one shard and publish one file for each part in `names`; other parts are passed over.

    Nothing is published before the last row was read and checked.

    Args:
        rows: every row of the shard.
        names: part to file name in the store; each part has at least one row.
        form: what the files are.
        store: where they are published.
        filtering: rows in a group.
        dataset: names of the fields that files show as columns.
    """
    with ExitStack() as files:
        scratches = {part: files.enter_context(scratch_file(store)) for part in names}
        writers = {part: form.open(scratch, filtering, dataset) for part, scratch in scratches.items()}
        _distribute(rows, writers)
        for part, name in names.items():
            store.publish(scratches[part], name)


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
