"""What a run reads: patterns become a fixed, hashed list of shards before anything is judged.

Nothing here depends on time, chance or the number of workers. Every pattern is checked as a whole, folder by folder,
because a data set may have 100,000 shards.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq

from curate.core.errors import InputError, ShardUnreadable
from curate.core.secrets import one_line
from curate.core.types import ShardRef
from curate.settings.dataset import DatasetSettings
from curate.sources.patterns import expand, refuse_repeats
from curate.sources.registry import detect_format, source_for

PLAN_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("format", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("bytes", pa.int64()),
        pa.field("samples", pa.int64()),
        pa.field("version", pa.string()),
        pa.field("take", pa.int64()),
    ]
)
"""Columns of plan.parquet."""


_SIZE = re.compile(r"(\d+)-\d+$")
"""Of versions of local files (`curate.sources.files`): size and time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The inputs of a run, in order.

    Attributes:
        shards: what is read.
        limit: `dataset.limit` when planned.
        plan_hash: sha256 over ids, urls, parts, versions, takes and the limit.
    """

    shards: tuple[ShardRef, ...]
    limit: int | None
    plan_hash: str

    @property
    def samples(self) -> int | None:
        """How many samples the run has; None where a shard's number is unknown."""
        counts = [shard.samples if shard.take is None else shard.take for shard in self.shards]
        return None if None in counts else sum(count for count in counts if count is not None)


def make_plan(dataset: DatasetSettings) -> Plan:
    """The plan for a data set, cut to `dataset.limit` where it is set.

    Raises:
        InputError: as `expand` and the sources say, or two shards have one id.
        ShardUnreadable: a shard that has to be counted for the limit cannot be opened.
    """
    shards: list[ShardRef] = []
    for name, urls in groupby(_urls(dataset), lambda url: _format(url, dataset)):
        shards += source_for(name).shards(list(urls), dataset)
    refuse_repeats((shard.id for shard in shards), "two shards have the same id")
    plan = plan_of(shards, None)
    return plan if dataset.limit is None else limited_plan(plan, dataset, dataset.limit)


def limited_plan(plan: Plan, dataset: DatasetSettings, limit: int) -> Plan:
    """The first `limit` samples of a plan: shards after them are dropped, the last one kept takes what is left.

    Counts are not known before a tar is read, so shards are counted here, but only until `limit` is reached.

    Raises:
        ShardUnreadable: a shard that has to be counted cannot be opened.
    """
    shards: list[ShardRef] = []
    left = limit
    for shard in plan.shards:
        if left == 0:
            break
        known = shard.samples
        count = source_for(shard.format).count(shard, dataset, left) if known is None else min(known, left)
        shards.append(replace(shard, take=count) if count == left else shard)
        left -= count
    return plan_of(shards, limit)


def extend_plan(old: Plan, new: Plan, replaceable: Collection[str] = ()) -> Plan:
    """`old` with what `new` has more: further shards, appended, and more of a shard that a lower limit has cut.

    Args:
        old: the run's plan.
        new: made of the data as it is now.
        replaceable: ids of shards that may have changed, because they were damaged and will be judged again.

    Raises:
        InputError: a shard of `old` is gone or has changed, or the limit is lower.
    """
    anew = "or judge all of it in another output.dir, with reuse= and this one for the labels there are"
    if old.limit != new.limit and not is_raised(old.limit, new.limit):
        raise InputError(f"dataset.limit={new.limit}: {planned_with(old.limit)}; leave it so, {anew}")
    now = {shard.id: shard for shard in new.shards}
    cut = new.limit is not None and new.limit == old.limit  # reached earlier, since a shard in front has more now
    for shard in old.shards:
        if shard.id not in now and cut:
            now[shard.id] = shard
        if shard.id not in now:
            raise InputError(f"{shard.url}: in the run's plan but no longer among the shards; put it back, {anew}")
        if shard.id not in replaceable and not may_be_same(shard, now[shard.id]):
            raise InputError(f"{shard.url}: has changed since it was judged; put it back, {anew}")
    known = {shard.id for shard in old.shards}
    kept = [replace(now[s.id] if s.id in replaceable else s, take=_more(s.take, now[s.id].take)) for s in old.shards]
    return plan_of([*kept, *(shard for shard in new.shards if shard.id not in known)], new.limit)


def may_be_same(before: ShardRef, now: ShardRef) -> bool:
    """Whether what was judged may be what is there now: unchanged, or as large, as after a copy to the same place.

    Whether it is, the digests of its images decide when they are read.
    """
    as_large = before.bytes is not None and (before.bytes, before.samples) == (now.bytes, now.samples)
    return as_large or None in (before.version, now.version) or before.version == now.version


def is_version_of(planned: str | None, found: str | None) -> bool:
    """The same of two versions alone, where they tell the size."""
    sizes = [_SIZE.match(version or "") for version in (planned, found)]
    return planned in (None, found) or (None not in sizes and sizes[0][1] == sizes[1][1])  # type: ignore[index]


def is_raised(before: int | None, now: int | None) -> bool:
    """Whether a limit lets more through than before."""
    return before is not None and (now is None or now > before)


def planned_with(limit: int | None) -> str:
    """The limit of a run, in words."""
    return "the run was planned without one" if limit is None else f"the run was planned with {limit}"


def _more(one: int | None, other: int | None) -> int | None:
    """The larger of two numbers of samples, where None is all."""
    return None if one is None or other is None else max(one, other)


def check_version(shard: ShardRef, dataset: DatasetSettings) -> str | None:
    """The shard's version now, for its commit.

    Raises:
        ShardUnreadable: it is gone, or is not the one that was planned.
    """
    version = source_for(shard.format).version(shard, dataset)
    if not is_version_of(shard.version, version):
        raise ShardUnreadable(
            f"{shard.url}: has changed since this start planned it; start again, which plans what is there then"
        )
    return version


def plan_to_bytes(plan: Plan) -> bytes:
    """The plan as a Parquet file; equal plans give equal bytes."""
    columns = ({"shard": row.pop("id"), **row} for row in map(asdict, plan.shards))
    metadata = {"curate.plan_hash": plan.plan_hash, "curate.limit": json.dumps(plan.limit)}
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_pylist(list(columns), schema=PLAN_SCHEMA.with_metadata(metadata)), sink, compression="zstd"
    )
    return bytes(sink.getvalue())


def plan_from_bytes(data: bytes) -> Plan:
    """The plan in a Parquet file.

    Raises:
        InputError: it is damaged or was edited.
    """
    try:
        table = pq.read_table(pa.BufferReader(data))
        shards = [ShardRef(id=row.pop("shard"), **row) for row in table.to_pylist()]
        metadata = table.schema.metadata
        plan = plan_of(shards, json.loads(metadata[b"curate.limit"]))
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"plan.parquet: cannot be read ({one_line(error)}); use a new output.dir") from error
    if metadata[b"curate.plan_hash"].decode() != plan.plan_hash:
        raise InputError("plan.parquet: was changed after it was written; use a new output.dir")
    return plan


def _urls(dataset: DatasetSettings) -> list[str]:
    """What `datasets` loads is a name, not a pattern."""
    if dataset.format == "hub":
        return list(dataset.shards)
    return expand(dataset.shards, dataset.storage_options, dataset.format)


def _format(url: str, dataset: DatasetSettings) -> str:
    return detect_format(url, dataset.storage_options) if dataset.format == "auto" else dataset.format


def plan_of(shards: Sequence[ShardRef], limit: int | None) -> Plan:
    """A plan of these shards, with its hash."""
    digest = hashlib.sha256(json.dumps([limit, *map(_identity, shards)]).encode()).hexdigest()
    return Plan(shards=tuple(shards), limit=limit, plan_hash=digest)


def _identity(shard: ShardRef) -> tuple[str, str, str, str, str | None, int | None]:
    return (shard.id, shard.url, shard.format, shard.part, shard.version, shard.take)
