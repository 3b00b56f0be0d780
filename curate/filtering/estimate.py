"""What each format of split files costs in disk, before anything was judged."""

from __future__ import annotations

from collections.abc import Iterable

from curate.core.types import ShardRef

INDEX_BYTES = 100
"""A sample's line in an index: a random SHA-256 in hexadecimal, 64 bytes that compress to half, key and numbers."""

ROW_BYTES = 600
"""What a Parquet split adds to a sample's own bytes: verdict, rationale and meta, compressed."""


def split_disk_estimate(shards: Iterable[ShardRef], samples: int) -> dict[str, int]:
    """Bytes that the splits of `shards` will take, by the value of `filter.write`.

    Every sample lands in exactly one split and is copied as it is, so copies cost what the sources cost. While a new
    rule set is being written, the old one's files are still there: a re-filter needs the same again for that time.

    Args:
        shards: what is copied; shards of unknown size count as nothing.
        samples: how many samples they hold, measured or estimated.
    """
    sources = sum(map(_copied, shards))
    return {"parquet": sources + samples * ROW_BYTES, "webdataset": sources, "index": samples * INDEX_BYTES}


def _copied(shard: ShardRef) -> int:
    """Bytes of the samples that belong to the run, as far as can be told."""
    if shard.take is None or not shard.samples:
        return shard.bytes or 0
    return (shard.bytes or 0) * min(shard.take, shard.samples) // shard.samples
