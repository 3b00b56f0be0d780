"""Law 2 and 3 from the folder alone: each sample of a shard is in one split, and `clean` holds only judged ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from curate.core.types import Status
from curate.filtering.rules import CLEAN, FAILED
from curate.storage.store import Store
from curate.verification.evidence import Checked, Evidence, Finding, Law
from curate.verification.folder import Judged
from curate.verification.split_files import UNREADABLE, Placed, PlacedMembers, PlacedRow, read_split_file
from curate.verification.split_set import SplitSet


@dataclass(frozen=True, slots=True)
class _Sample:
    """What the annotations of the deciding policies say about one sample.

    Attributes:
        pictures: the digest of each.
        labelled: whether each picture has a label under every policy.
        in_part: whether there is more in it than was judged.
        too_large: whether some of it is more than is copied.
    """

    index: int
    key: str
    pictures: tuple[str | None, ...]
    labelled: bool
    in_part: bool
    too_large: bool


class Placing:
    """Where the samples of one shard are.

    Attributes:
        placed: by index.
        found: how many samples the shard's split files hold.

    Args:
        judged: the shard under each deciding policy.
    """

    def __init__(self, judged: Sequence[Judged]) -> None:
        self.placed: dict[int, Placed] = {}
        self.found = 0
        self._judged = judged
        self._samples = _samples(judged)
        self._by_key: Mapping[str, list[_Sample]] | None = None

    def check(self, store: Store, splits: SplitSet) -> Iterator[Evidence]:
        """Read the shard's split files and place every sample."""
        files = splits.files.get(self._judged[0].shard.id, ())
        for part, name in files:
            yield Checked(Law.FAIL_CLOSED, "split files")
            try:
                for item in read_split_file(store, part, name):
                    self.found += 1
                    yield from self._place(item)
            except UNREADABLE as error:
                yield Finding(Law.LOSSLESS, name, f"cannot be read ({' '.join(str(error).split())[:100]})")
        yield Checked(Law.FAIL_CLOSED, "samples in splits", self.found)
        yield Checked(Law.LOSSLESS, "images or digests in splits", self.found)

    def missing(self) -> Iterator[Evidence]:
        """Samples in no split."""
        for index, sample in self._samples.items():
            if index not in self.placed:
                yield Finding(Law.FAIL_CLOSED, self._judged[0].at(index), f"key {sample.key!r} is in no split")

    def _place(self, item: PlacedRow | PlacedMembers) -> Iterator[Evidence]:
        candidates = self._candidates(item)
        free = [sample for sample in candidates if sample.index not in self.placed]
        if not candidates:
            yield Finding(Law.FAIL_CLOSED, item.where, "the shard has no such sample")
        elif not free:
            first = self.placed[candidates[0].index]
            yield Finding(Law.FAIL_CLOSED, item.where, f"is also in {first.where}")
        else:
            sample = min(free, key=lambda sample: _misfit(sample, item))
            self.placed[sample.index] = item
            yield from _differences(sample, item)

    def _candidates(self, item: PlacedRow | PlacedMembers) -> list[_Sample]:
        if isinstance(item, PlacedRow):
            sample = self._samples.get(item.index) if item.shard == self._judged[0].shard.id else None
            return [] if sample is None else [sample]
        if self._by_key is None:
            self._by_key = _by_key(self._samples)
        return [sample for key in item.keys for sample in self._by_key.get(key, ())]


def _misfit(sample: _Sample, item: Placed) -> tuple[bool, bool]:
    """Members of a tar have no index: of samples with one key, the one with the same image and a fitting fate."""
    return not item.holds(sample.pictures), sample.labelled == (item.part == FAILED)


def _differences(sample: _Sample, item: PlacedRow | PlacedMembers) -> Iterator[Evidence]:
    if isinstance(item, PlacedRow) and item.key != sample.key:
        yield Finding(Law.LOSSLESS, item.where, f"key is {item.key!r}, judged was {sample.key!r}")
    if not (item.holds(sample.pictures) or (sample.too_large and item.part == FAILED)):
        yield Finding(Law.LOSSLESS, item.where, "the image's bytes are not those that were judged")
    if item.part.split("/")[0] == CLEAN and not sample.labelled:
        yield Finding(Law.FAIL_CLOSED, item.where, f"key {sample.key!r} was not judged, but is in {CLEAN}")
    elif item.part.split("/")[0] == CLEAN and sample.in_part:
        yield Finding(Law.FAIL_CLOSED, item.where, f"not all of key {sample.key!r} was judged, but it is in {CLEAN}")


def _samples(judged: Sequence[Judged]) -> dict[int, _Sample]:
    """By index. A label with a detail does not speak of the whole sample."""
    labelled = pl.col("status") == Status.LABELLED.value
    unlabelled, in_part, large = (
        {index for one in judged for index in one.rows.filter(condition)["index"]}
        for condition in (
            ~labelled,
            labelled & pl.col("detail").is_not_null(),
            pl.col("status") == Status.TOO_MANY_BYTES.value,
        )
    )
    pictures: dict[int, list[str | None]] = defaultdict(list)
    keys = {}
    for index, key, sha256 in judged[0].rows.select("index", "key", "sha256").iter_rows():
        pictures[index].append(sha256)
        keys[index] = key
    return {
        index: _Sample(index, key, tuple(pictures[index]), index not in unlabelled, index in in_part, index in large)
        for index, key in keys.items()
    }


def _by_key(samples: Mapping[int, _Sample]) -> dict[str, list[_Sample]]:
    found = defaultdict(list)
    for sample in samples.values():
        found[sample.key].append(sample)
    return dict(found)
