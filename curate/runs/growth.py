"""A run that goes on over data that are not quite what was planned: moved, copied again, repaired, or more of them.

What was judged stays wherever it may still be right, since every image is known by its SHA-256. Where a folder cannot
go on, the message names what can: another one that takes its labels over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from curate.console.output import complain
from curate.core.errors import InputError
from curate.core.types import ShardRef
from curate.runs.commits import committed, finished
from curate.runs.locations import moved_from
from curate.runs.plan import Plan, extend_plan, is_raised, is_version_of, may_be_same, plan_of, planned_with
from curate.runs.reopening import Reopening
from curate.runs.shard_failures import read_failures
from curate.settings.run import Settings
from curate.storage.store import Store

RANGES = ("folder", "hub")
"""Formats whose shards are ranges of one whole, so that a file more moves all that stand behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """What is not as it was planned.

    Attributes:
        mended: shards that were broken or unreadable, by id, as they are now.
        fresh: shards that nothing was committed of, by id, as they are now; and of no known version those that were
            copied and are judged under some of the policies only.
        changed: shards that were judged and are another size now, as they were and as they are.
    """

    mended: Mapping[str, ShardRef]
    fresh: Mapping[str, ShardRef]
    changed: Sequence[tuple[ShardRef, ShardRef]]


def continued_plan(store: Store, before: Plan, now: Plan, settings: Settings) -> Plan:
    """The recorded plan, with what nobody has judged as it is now, and with new shards where `extend` allows them.

    What another worker is at is left as it was planned, for a later start.

    Raises:
        InputError: the folder cannot go on; nothing is deleted.
    """
    found = _differences(store, before, now, settings)
    current = {**found.fresh, **found.mended}
    after = plan_of([current.get(shard.id, shard) for shard in before.shards], before.limit)
    elsewhere = f"output.dir=NEW reuse={store.uri('').rstrip('/')}"
    _refuse_shifted(store, after, now, found, settings, elsewhere)
    after = extend_plan(after, now) if settings.extend else _same_plan(after, now, elsewhere)
    _tell(found.changed, elsewhere)
    # Nothing is deleted before it is known that the run goes on.
    left: dict[str, ShardRef] = {}
    with Reopening(store, settings.job.lease) as reopening:
        for was, shard in zip(before.shards, after.shards, strict=False):  # new ones stand behind
            if shard.id in found.mended:
                done = reopening.discard(shard.id, shard.version)
            else:
                done = was.take == shard.take or reopening.reopen_for_more(shard.id)
            if not done:
                left[shard.id] = was
    return plan_of([left.get(shard.id, shard) for shard in after.shards], after.limit) if left else after


def _differences(store: Store, before: Plan, now: Plan, settings: Settings) -> Differences:
    there = {shard.id: shard for shard in now.shards}
    mended = _mended_shards(store, there)
    judged: set[str] = set().union(*(committed(store, policy) for policy in store.folders("commits")))
    both = [(was, there[was.id]) for was in before.shards if was.id in there and was.id not in mended]
    done = finished(store, settings.passes)
    copied = [was for was, shard in both if was.id in judged - done and may_be_same(was, shard)]
    fresh = {was.id: shard for was, shard in both if was.id not in judged and was.version != shard.version}
    return Differences(
        mended=mended,
        fresh=fresh
        | {
            was.id: replace(was, version=None)
            for was in copied
            if not is_version_of(was.version, there[was.id].version)
        },
        changed=[(was, shard) for was, shard in both if was.id in judged and not may_be_same(was, shard)],
    )


def _mended_shards(store: Store, there: Mapping[str, ShardRef]) -> dict[str, ShardRef]:
    """Shards that were broken or unreadable, by id, in the version that they have now."""
    known = [failure for failure in read_failures(store) if failure.shard in there]
    return {f.shard: there[f.shard] for f in known if not f.judged or there[f.shard].version != f.version}


def _refuse_shifted(
    store: Store, after: Plan, now: Plan, found: Differences, settings: Settings, elsewhere: str
) -> None:
    """Of a folder or data set that is another one now, what is left would be judged twice or not at all."""
    shifted = {was.url: (was, shard) for was, shard in reversed(found.changed) if was.format in RANGES}
    if not shifted:
        return
    done = finished(store, settings.passes)
    left = next((s for s in (*after.shards, *now.shards) if s.url in shifted and s.id not in done), None)
    if left is not None:
        raise InputError(
            f"{left.url}: {_said(*shifted[left.url])}, and the rest of it is not judged yet; judge all of it with "
            f"{elsewhere}, which takes over the labels there are"
        )


def _tell(changed: Sequence[tuple[ShardRef, ShardRef]], elsewhere: str) -> None:
    """Say once that there is more, or something else, than this run has rows of."""
    if changed:
        was, shard = changed[0]
        more = f" (and {len(changed) - 1} more shards)" if len(changed) > 1 else ""
        complain(
            f"{shard.url}: {_said(was, shard)}{more}; this run keeps to what it judged, {elsewhere} judges the rest"
        )


def _said(was: ShardRef, shard: ShardRef) -> str:
    if was.samples == shard.samples or was.samples is None or shard.samples is None:
        return "has changed since it was judged"
    return f"has {'more' if shard.samples > was.samples else 'fewer'} images than when it was judged"


def _same_plan(before: Plan, now: Plan, elsewhere: str) -> Plan:
    """`before`, where `now` has the same shards, in whatever order; or fewer, as the limit is reached earlier now.

    Raises:
        InputError: it has others, or another limit.
    """
    if before.limit != now.limit:
        raised = is_raised(before.limit, now.limit)
        way = "add extend=true to judge the rest too, and keep the rows there are" if raised else "leave it so"
        raise InputError(
            f"dataset.limit={'null' if now.limit is None else now.limit}: {planned_with(before.limit)}; {way}, "
            f"or choose another folder with {elsewhere}"
        )
    old, new = ([s.id for s in p.shards] for p in (before, now))
    cut = now.limit is not None and new == old[: len(new)]
    takes = [{shard.id: shard.take for shard in plan.shards} for plan in (before, now)]
    same = set(old) == set(new) and (now.limit is None or takes[0] == takes[1])
    if not same and not cut:
        grown = set(old) < set(new)  # what extend=true does not refuse
        way = f"judge them in another folder with {elsewhere}"
        if grown:
            way = f"add extend=true to go on with all of them, or {way}"
        elif not set(old) & set(new):
            way = "choose another output.dir"
        raise InputError(f"dataset.shards: {_difference(before, now)}; {way}")
    return before


def _difference(before: Plan, now: Plan) -> str:
    old, new = ({shard.id: shard for shard in plan.shards} for plan in (before, now))
    added, gone = sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys())
    if len(gone) == len(old):
        moved = moved_from(before.shards[0].url, now.shards[0].url)
        return f"none of them is among the {len(old)} that this folder was planned with, so these are other data{moved}"
    parts = [f"{len(ids)} {what} (first {ids[0]})" for what, ids in (("new", added), ("gone", gone)) if ids]
    return f"not the shards this folder was planned with: {', '.join(parts) or 'another order under a limit'}"
