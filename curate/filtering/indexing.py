"""One shard into its index files: decided, counted and written in one pass over the annotations."""

from __future__ import annotations

from collections.abc import Set

from curate.filtering.counts import Counts
from curate.filtering.removals import Removals
from curate.filtering.stage import Stage
from curate.filtering.write_index import IndexFiles


def index_shard(stage: Stage, position: int, present: Set[str], removed: Removals) -> Counts:
    """Write what is missing of the index files of a shard, and count its samples.

    Args:
        stage: whose `form` names the samples only.
        position: of the shard in the stage.
        present: names of files that are there already.
        removed: where removed samples go.
    """
    shard = stage.shards[position].id

    def name(part: str) -> str | None:
        own = stage.file(part, shard)
        return None if own in present else own

    counted = Counts(stage.dataset)
    with IndexFiles(stage.store, name) as files:
        for window, decisions in enumerate(stage.decisions(shard, stage.short_columns)):
            counted.take(decisions)
            removed.take(decisions, position, window)
            files.add(decisions)
        files.publish()
    return counted
