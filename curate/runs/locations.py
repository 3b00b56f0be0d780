"""Where shards are now, and what they are called whatever that is.

A run's folder names a shard by its url at the time of planning, without secrets. `dataset.moved` says what lies
elsewhere now, and signed URLs are given anew with each start; ids depend on neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from curate.core.errors import InputError
from curate.core.secrets import MASK, masked_url
from curate.core.types import ShardRef
from curate.runs.plan import Plan, plan_of
from curate.settings.dataset import DatasetSettings
from curate.sources.base import shard_id
from curate.sources.files import Files
from curate.sources.patterns import expand

_SPECIAL = re.compile(r"[\s,'{}]|:(?!//)")
"""What a place may not hold in a mapping that is written on the command line, unless it is quoted."""


@dataclass(frozen=True, slots=True)
class Moves:
    """What of the data lies elsewhere than it did: canonical places, old to new."""

    places: Mapping[str, str]

    @classmethod
    def of(cls, dataset: DatasetSettings) -> Moves:
        """Those of `dataset.moved`."""
        files = Files(dataset.storage_options)

        def canonical(place: str) -> str:
            return files.canonical(place.rstrip("/") or "/")

        return cls({canonical(old): canonical(new) for old, new in dataset.moved.items()})

    def forth(self, url: str) -> str:
        """Where a recorded `url` is now."""
        return _replaced(url, self.places)

    def back(self, url: str) -> str:
        """What a `url` of now was recorded as."""
        return _replaced(url, {new: old for old, new in self.places.items()})


def recognised(now: Plan, before: Plan | None, dataset: DatasetSettings) -> Plan:
    """`now` as a run's folder keeps it: urls without secrets and where they were at first, ids as `before` has them."""
    moves = Moves.of(dataset)
    known = {} if before is None else {(masked_url(shard.url), shard.part): shard.id for shard in before.shards}
    shards = []
    for shard in now.shards:
        bare = masked_url(shard.url)
        url = moves.back(bare)
        own = shard.id if url == bare else shard_id(shard.id.rpartition("-")[0], url, shard.part)
        shards.append(_renamed(shard, known.get((url, shard.part), own), url))
    return plan_of(shards, now.limit)


def bare(plan: Plan) -> Plan:
    """A recorded plan without the secrets that were recorded before they were left out."""
    shards = [_renamed(shard, shard.id, masked_url(shard.url)) for shard in plan.shards]
    return plan if tuple(shards) == plan.shards else plan_of(shards, plan.limit)


def located(plan: Plan, dataset: DatasetSettings, live: Mapping[str, str]) -> Plan:
    """A recorded plan with the urls that its shards are read from now; its hash stays.

    Args:
        plan: as the run's folder has it.
        dataset: says what was moved, and has URLs whose secrets the folder does not keep.
        live: urls of now, by recorded ones or by what they are without secrets.
    """
    moves = Moves.of(dataset)

    def now(url: str) -> str:
        moved = moves.forth(url)
        return live.get(url) or live.get(masked_url(moved), moved)

    return replace(plan, shards=tuple(_renamed(shard, shard.id, now(shard.url)) for shard in plan.shards))


def still_moved(recorded: Mapping[str, str], now: Plan, dataset: DatasetSettings) -> dict[str, str]:
    """What was moved once, and what `dataset` says of it now; without what is back where it was."""
    found = {**recorded, **dataset.moved}
    places = Moves.of(dataset.model_copy(update={"moved": found})).places
    return {
        given: found[given]
        for given, (old, new) in zip(found, places.items(), strict=True)
        if given in dataset.moved or not _is_back(now, old, new)
    }


def _is_back(now: Plan, old: str, new: str) -> bool:
    urls = [masked_url(shard.url) for shard in now.shards]
    return any(_is_at(url, old) for url in urls) and not any(_is_at(url, new) for url in urls)


def with_secrets(plan: Plan, dataset: DatasetSettings) -> dict[str, str]:
    """URLs of `dataset.shards` by what they are without secrets.

    Raises:
        InputError: the plan needs none; see `curate.sources.patterns.expand`.
    """
    urls = expand(dataset.shards, dataset.storage_options, dataset.format)
    if not any(MASK in masked_url(shard.url) for shard in plan.shards):
        moved = moved_from(plan.shards[0].url, urls[0])
        raise InputError(f"dataset.shards: a run has its own, which are read again{moved}")
    return {masked_url(url): url for url in urls}


def check_moved(plan: Plan, dataset: DatasetSettings) -> None:
    """Refuse a move of what a run has nothing of: a misspelt folder would else be found out at the first shard.

    Raises:
        InputError: no shard lies where it is said that some did.
    """
    for old, given in zip(Moves.of(dataset).places, dataset.moved, strict=True):
        if not any(_is_at(masked_url(shard.url), old) for shard in plan.shards):
            first = masked_url(plan.shards[0].url) if plan.shards else "nothing"
            raise InputError(f"dataset.moved: no shard of this run was at {given}; its first one was {first}")


def moved_from(old: str, new: str) -> str:
    """What to say where these are the same data at another place, as the ends of their names make likely."""
    before, now = old.split("/"), new.split("/")
    while len(before) > 1 and len(now) > 1 and before[-1] == now[-1]:
        before.pop()
        now.pop()
    if len(before) == old.count("/") + 1:
        return ""
    places = (f'"{place}"' if _SPECIAL.search(place) else place for place in ("/".join(before), "/".join(now)))
    return f" (if they only lie elsewhere now: dataset.moved='{{{': '.join(places)}}}')"


def _renamed(shard: ShardRef, name: str, url: str) -> ShardRef:
    """`shard` with another id and url; itself where they are the same, as most of 100,000 are."""
    return shard if (shard.id, shard.url) == (name, url) else replace(shard, id=name, url=url)


def _replaced(url: str, places: Mapping[str, str]) -> str:
    """`url` below another place, where it lies at or below one of `places`; the longest of them counts."""
    if not places:
        return url
    found = max((place for place in places if _is_at(url, place)), key=len, default=None)
    return url if found is None else places[found] + url[len(found) :]


def _is_at(url: str, place: str) -> bool:
    return url == place or url.startswith(place if place.endswith("/") else f"{place}/")
