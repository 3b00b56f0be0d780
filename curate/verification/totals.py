"""What only the sum over all shards tells: whether a shard without split files was judged later or lost its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from curate.verification.evidence import Evidence, Finding, Law, Note
from curate.verification.split_set import SplitSet


@dataclass(slots=True)
class Totals:
    """Kept while the shards go by.

    Attributes:
        samples_in_splits: over all split files.
        unsplit: annotation files of shards that have rows but no split file.
    """

    samples_in_splits: int = 0
    unsplit: list[str] = field(default_factory=list)

    def check(self, splits: SplitSet | None) -> Iterator[Evidence]:
        """To be asked after the last shard."""
        if splits is None:
            return
        lost = splits.result is not None and self.samples_in_splits < sum(splits.result.splits.values())
        for name in self.unsplit:
            if lost:
                yield Finding(Law.FAIL_CLOSED, name, "none of its samples is in a split file")
            else:
                yield Note("shards judged after the splits were made; run `filter` again", name)
