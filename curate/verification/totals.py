"""What only the sum over all shards tells: whether a shard without split files was judged later or lost its files."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from curate.verification.cards import Pointer
from curate.verification.evidence import Checked, Evidence, Finding, Law, Note
from curate.verification.folder import Judged
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
    _digests: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, judged: Judged) -> None:
        """Remember which annotation file a commit names."""
        self._digests[judged.policy][judged.shard.id] = judged.commit.sha256

    def check(self, pointers: Sequence[Pointer], splits: SplitSet | None) -> Iterator[Evidence]:
        """To be asked after the last shard."""
        if splits is None:
            return
        lost = splits.result is not None and self.samples_in_splits < sum(splits.result.splits.values())
        for name in self.unsplit:
            if lost:
                yield Finding(Law.FAIL_CLOSED, name, "none of its samples is in a split file")
            else:
                yield Note("shards judged after the splits were made; run `filter` again", name)
        if not self.unsplit:
            yield from self._check_digests(pointers)

    def _check_digests(self, pointers: Sequence[Pointer]) -> Iterator[Evidence]:
        """A configuration carries the digest of the commits it points to, or `datasets` may show an older load."""
        for pointer in pointers:
            if not pointer.is_annotations:
                continue
            yield Checked(Law.THE_PLAN, "digests of the card")
            digest = _digest(self._pointed(pointer))
            if digest != pointer.description:
                yield Finding(
                    Law.THE_PLAN, pointer.where, f"digest {pointer.description}, that of its commits is {digest}"
                )

    def _pointed(self, pointer: Pointer) -> Mapping[tuple[str, str], str]:
        """SHA-256 by policy and shard of the annotation files that `pointer` names one by one or by a wildcard."""
        found: dict[tuple[str, str], str] = {}
        for pattern in pointer.patterns:
            _, policy, file = pattern.split("/")
            of = self._digests[policy]
            shards = of if "*" in file else {file.removesuffix(".parquet")} & of.keys()
            found |= {(policy, shard): of[shard] for shard in shards}
        return found


def _digest(files: Mapping[tuple[str, str], str]) -> str:
    """As cards have it: sixteen hexadecimal digits over the sorted lines "policy shard sha256"."""
    lines = sorted(f"{policy} {shard} {sha256}" for (policy, shard), sha256 in files.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
