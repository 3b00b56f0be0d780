"""What every source of samples offers. Another format is one new file and one line in `__init__`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from curate.settings import DatasetSettings
from curate.types import Damage, Sample, ShardRef


class ShardBroken(Exception):
    """Raised by `Source.samples` where a shard breaks off; everything before it was yielded and counts."""

    def __init__(self, damage: Damage) -> None:
        super().__init__(damage.reason)
        self.damage = damage


class Source(Protocol):
    """A format: how its shards are found, and how one shard is read.

    `samples` streams: its memory does not grow with the shard. It is deterministic: two readings of an
    unchanged shard yield equal samples in equal order.
    """

    format: str

    def shards(self, urls: Sequence[str], dataset: DatasetSettings) -> list[ShardRef]:
        """The shards behind already expanded `urls`, in order.

        Raises:
            InputError: a url cannot be listed or holds nothing this source reads.
        """
        ...

    def samples(self, shard: ShardRef, dataset: DatasetSettings) -> Iterator[Sample]:
        """The samples of `shard`, index from 0 without gaps.

        Raises:
            ShardUnreadable: the shard cannot be opened at all.
            ShardBroken: it breaks off; what was yielded before stands.
            InputError: the data needs a decision of the user (e.g. two images in one sample).
        """
        ...
