"""Every shard of a run decided, counted, and written into split files; what was removed, as a table."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from curate.filtering.copying import copy_shard
from curate.filtering.counts import Counts
from curate.filtering.indexing import index_shard
from curate.filtering.ordered_map import in_order
from curate.filtering.removals import Removals
from curate.filtering.result import FilterResult, to_result
from curate.filtering.stage import Progress, Stage
from curate.filtering.table_files import sink
from curate.sources.base import Source
from curate.storage.retrying_store import scratch_file
from curate.storage.store import Store

INDEX_CONCURRENCY = 4
"""Shards that are indexed at once. Half of the time goes to the disk, which takes several files as fast as one."""


def split_samples(stage: Stage, sources: Mapping[str, Source], *, pending: int, progress: Progress) -> FilterResult:
    """Write every split file that is not there yet, and the tables beside them; what all of it comes to.

    Args:
        stage: checked, its manifest registered.
        sources: readers by `ShardRef.format`.
        pending: shards that are left for later.
        progress: told about samples as they are written.

    Raises:
        InputError: a source is not the one that was judged.
        ShardUnreadable: a source cannot be read as far as it was judged.
    """
    counts = Counts(stage.dataset)
    with _scratch_folder(stage.store) as folder:
        removed = Removals(folder, stage.dataset, stage.rules.overrides)
        for shard in _write_shards(stage, sources, removed, progress):
            counts.add(shard)
        _publish_table(stage, "removed", removed.write)
        if stage.rules.overrides is not None:
            _publish_table(stage, "reviewed", removed.write_reviewed)
        if stage.dataset.label:
            _publish_table(stage, "labels", lambda path: sink(counts.labels().lazy(), path, "zstd"))
        return to_result(stage, counts, pending=pending, reviewed=removed.reviewed())


def _write_shards(
    stage: Stage, sources: Mapping[str, Source], removed: Removals, progress: Progress
) -> Iterator[Counts]:
    """The counts of each shard, whose files are then all there."""
    present = stage.present()
    positions = range(len(stage.shards))
    if stage.form.open is not None:
        yield from (copy_shard(stage, n, sources, present, removed, progress) for n in positions)
        return
    for counted in in_order(lambda n: index_shard(stage, n, present, removed), positions, INDEX_CONCURRENCY):
        progress(counted.rows)
        yield counted


def _publish_table(stage: Stage, what: str, write: Callable[[Path], None]) -> None:
    name = stage.manifest.side_file(what)
    if not stage.store.exists(name):
        with scratch_file(stage.store) as scratch:
            write(scratch)
            stage.store.publish(scratch, name)


@contextmanager
def _scratch_folder(store: Store) -> Iterator[Path]:
    """A local folder that goes with the stage, whatever ends it."""
    with scratch_file(store) as folder:
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
