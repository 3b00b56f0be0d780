"""Law 1 and 3 against the sources: what is read again has one row each, and its bytes are what the splits hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

import polars as pl

from curate.core.types import Damage, PassedOver, Sample
from curate.judges.row_policies import policy_of
from curate.policies.policy import BY_ROW
from curate.settings.dataset import DatasetSettings
from curate.sources.base import ShardBroken, unlimited
from curate.sources.passed_over import PassedOverLedger
from curate.sources.registry import source_for
from curate.verification.evidence import Checked, Evidence, Finding, Law, Note
from curate.verification.folder import Judged
from curate.verification.split_files import Placed


def check_source(
    judged: Sequence[Judged], placed: Mapping[int, Placed] | None, dataset: DatasetSettings
) -> Iterator[Evidence]:
    """Read one shard again and hold each sample against its rows and its place in the splits.

    Args:
        judged: the shard under each policy it is committed under.
        placed: where its samples are, by index; None where the shard is in no split yet.
        dataset: how the source is read.

    Raises:
        ShardUnreadable, InputError: the source cannot be read, so that nothing is known about it.
    """
    if _is_repaired(judged[0], dataset):
        yield Note("damaged shards that were repaired since; the next run judges them again", judged[0].shard.id)
        return
    rows = [_rows(one) for one in judged]
    count = 0
    reader = _Reader(judged[0], dataset)
    for sample in reader:
        count = sample.index + 1
        digest = sample.sha256 if sample.image is None else hashlib.sha256(sample.image).hexdigest()
        for one, known in zip(judged, rows, strict=True):
            row = known.get((sample.index, sample.picture))
            first = known.get((sample.index, 0))
            if row is None and first is not None and first.in_part:
                continue  # of an earlier version: its row says that there is more
            yield from _same_row(sample, digest, row, one)
            if one.policy == BY_ROW and row is not None:
                yield from _same_policy(sample, row.policy, one, dataset)
        if placed is not None and sample.picture == 0 and sample.index in placed:
            yield from _same_bytes(sample, placed[sample.index])
    yield Checked(Law.ONE_FATE, "samples of sources", count)
    if judged[0].commit.samples is not None and reader.damage is None:
        yield from _same_rest(judged[0], reader.ledger.found)
    for one, known in zip(judged, rows, strict=True):
        yield from _same_end(one, reader.damage)
        for index in sorted({i for i, _ in known if i >= count}):
            yield Finding(Law.ONE_FATE, one.at(index), "the source has no such sample")


def _is_repaired(one: Judged, dataset: DatasetSettings) -> bool:
    """Whether the source is another than the damaged one that was judged."""
    now = source_for(one.shard.format).version(one.shard, dataset)
    return one.commit.damage is not None and now != one.commit.version


class _Reader:
    """The samples of a shard that its commit speaks of; afterwards `damage` says where the source breaks off now."""

    def __init__(self, judged: Judged, dataset: DatasetSettings) -> None:
        self.damage: Damage | None = None
        self.ledger = PassedOverLedger()
        self._judged = judged
        self._dataset = dataset

    def __iter__(self) -> Iterator[Sample]:
        shard, damage = self._judged.shard, self._judged.commit.damage
        samples = source_for(shard.format).samples(shard, unlimited(self._dataset), self.ledger.add)
        try:
            end = damage.index if damage else shard.take
            yield from takewhile(lambda sample: end is None or sample.index < end, samples)
            if damage is not None:
                next(samples, None)
        except ShardBroken as broken:
            self.damage = broken.damage


def _same_row(sample: Sample, digest: str | None, row: _Row | None, one: Judged) -> Iterator[Evidence]:
    if row is None:
        yield Finding(Law.ONE_FATE, one.at(sample.index), f"has no row, but the source has key {sample.key!r} there")
        return
    if row.key != sample.key:
        yield Finding(Law.ONE_FATE, one.at(sample.index), f"key is {row.key!r}, in the source {sample.key!r}")
    if row.sha256 != digest:
        yield Finding(Law.ONE_FATE, one.at(sample.index), f"sha256 is {row.sha256}, in the source {digest}")


def _same_policy(sample: Sample, policy: str | None, one: Judged, dataset: DatasetSettings) -> Iterator[Evidence]:
    now = policy_of(sample, dataset.policy_column or "")
    if policy != now:
        yield Finding(Law.ONE_FATE, one.at(sample.index), f"policy is {policy!r:.80}, in the source {now!r:.80}")


def _same_rest(one: Judged, now: Mapping[str, PassedOver]) -> Iterator[Evidence]:
    """What is no part of any sample is what it was."""
    for reason in sorted(one.commit.passed_over.keys() | now.keys()):
        before, after = (found.get(reason) for found in (one.commit.passed_over, now))
        if (before and before.count) != (after and after.count):
            said = (
                f"the source has {after.count if after else 0} {reason}, judged beside {before.count if before else 0}"
            )
            yield Finding(Law.ONE_FATE, one.commit_name, said)


def _same_bytes(sample: Sample, placed: Placed) -> Iterator[Evidence]:
    yield Checked(Law.LOSSLESS, "samples against the sources")
    difference = placed.difference(sample)
    if difference is not None:
        yield Finding(Law.LOSSLESS, placed.where, difference)


def _same_end(one: Judged, now: Damage | None) -> Iterator[Evidence]:
    then = one.commit.damage
    if (now and now.index) != (then and then.index):
        what = f"the source {_end(now)}; judged was one that {_end(then)}"
        yield Finding(Law.ONE_FATE, one.commit_name, what)


def _end(damage: Damage | None) -> str:
    return "has its end" if damage is None else f"breaks off after {damage.index} samples ({damage.reason})"


class _Row(NamedTuple):
    """A row; `in_part` says that there is more in its sample than was judged."""

    key: str
    sha256: str | None
    policy: str
    in_part: bool


def _rows(one: Judged) -> dict[tuple[int, int], _Row]:
    """By the index of the sample and the number of the picture in it."""
    number = pl.int_range(pl.len()).over("index").alias("number")
    rows = one.rows.select("index", number, "key", "sha256", "policy", pl.col("detail").is_not_null())
    return {(index, picture): _Row(*row) for index, picture, *row in rows.iter_rows()}
