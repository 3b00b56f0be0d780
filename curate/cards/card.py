"""The data set cards: what lets `datasets` load a run's folder, and what tells a person how it came about.

`datasets` caches by the folder's name and a hash of the card's configurations, not by content. Each configuration
therefore carries a digest of what it points to: in the file pattern of a split, and in `description`, which is part of
that hash and shown nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import jinja2
import pyarrow as pa
import yaml

from curate.core.types import Rating
from curate.core.yaml_files import load_yaml
from curate.filtering import write_index, write_parquet
from curate.filtering.formats import FORMATS
from curate.filtering.manifest import CARD, replace_if_changed
from curate.filtering.result import FilterResult
from curate.filtering.rules import CLEAN, FAILED
from curate.judges.prompts import policy_hash
from curate.judges.row_policies import FOLDER as POLICIES
from curate.judges.tuned_policies import untuned
from curate.policies.policy import BY_ROW, Policy
from curate.runs.annotation_table import SCHEMA, SCORES
from curate.runs.commits import Commit
from curate.runs.compaction.index import Index, is_of, read_indexes
from curate.settings.dataset import DatasetSettings
from curate.settings.filter import FilterSettings
from curate.settings.model import ModelSettings
from curate.sources.passed_over import MENDS, together
from curate.storage.store import Store

_LISTS = {
    pa.list_(pa.int32()): "int32",
    SCORES: [{"name": "category", "dtype": "string"}, {"name": "score", "dtype": "float32"}],
}
_KINDS = {pa.string(): "string", pa.int64(): "int64", pa.int32(): "int32", pa.float32(): "float32"}

_FENCE = "---\n"
"""Stands before and after a card's front matter."""

Commits = Mapping[str, Mapping[str, Commit]]


def publish_cards(
    store: Store,
    settings: FilterSettings,
    dataset: DatasetSettings,
    model: ModelSettings,
    policies: Mapping[str, Policy],
    commits: Commits,
    result: FilterResult,
) -> list[str]:
    """Write the card of the run's folder, and before it one for each split that needs its own.

    Args:
        store: the run's folder; its split files are complete.
        settings: the rules, by name.
        dataset: for its name and label.
        model: who judged.
        policies: the run's policies by name.
        commits: by policy and shard id, what the configurations point to.
        result: the counts.

    Returns:
        Names of all cards.
    """
    facts: dict[str, Any] = {
        "title": f"{dataset.name}, curated",
        "dataset": dataset.name,
        "warning": model.warning,
        "untuned": list(untuned(model, [] if dataset.policy_column else policies.values())),
    }
    facts |= {"model": model.name, "result": result, "label": dataset.label, "rules": settings.name}
    facts |= {"policies": [_policy(policies[name], of) for name, of in commits.items() if name in policies]}
    facts |= {"calibration": settings.calibration}
    facts |= {"own": _own_policies(store, dataset, commits)}
    facts |= {"passed_over": _passed_over(commits)}
    own = {}
    if FORMATS[settings.write].own_card:
        own = {f"splits/{split}/{CARD}": _tar_card(split, result, facts) for split in _there(result)}
    for name, text in (own | {CARD: _main_card(store, settings, commits, result, facts)}).items():
        replace_if_changed(store, name, text.encode())
    return [*own, CARD]


def _passed_over(commits: Commits) -> list[dict[str, Any]]:
    """What in the sources is no part of any sample; the same under every policy."""
    found = together(commit.passed_over for commit in next(iter(commits.values()), {}).values())
    return [
        {"reason": reason, "count": one.count, "first": one.first, "mend": MENDS.get(reason, "")}
        for reason, one in found.items()
    ]


def point_to_rows(store: Store, policy: str, commits: Mapping[str, Commit], index: Index) -> None:
    """Let the card, where there is one, point to where the rows of `policy` stand now.

    Its digests stay: they are those of the rows, wherever these are.

    Args:
        store: the run's folder.
        policy: whose rows.
        commits: of all its shards, by id.
        index: what of them is compacted.
    """
    if not store.exists(CARD):
        return
    start, front, body = store.read(CARD).decode().split(_FENCE, 2)
    matter = load_yaml(front)
    current = _paths(store, policy, commits, [index])
    for config in matter["configs"]:
        for entry in config["data_files"]:
            entry["path"] = _replaced(entry["path"], f"annotations/{policy}/", current)
    replace_if_changed(store, CARD, _FENCE.join((start, _dumped(matter), body)).encode())


def _main_card(
    store: Store, settings: FilterSettings, commits: Commits, result: FilterResult, facts: Mapping[str, Any]
) -> str:
    tars = FORMATS[settings.write].own_card
    configs = [*_annotation_configs(store, commits), *([] if tars else _split_configs(settings, result))]
    counts = _Counts(result)
    return _render(
        "card.md.j2",
        facts,
        front_matter=_front_matter(configs),
        tars=tars,
        loadable=[_loading(split, result) for split in _there(result)],
        splits=[counts.of(split) for split in result.splits],
        safe=counts.rated(Rating.SAFE),
        unsafe=counts.rated(Rating.UNSAFE),
        unrated=counts.rated(""),
        subsets=[(part.split("/")[1], samples) for part, samples in result.parts.items() if "/" in part],
    )


def _tar_card(split: str, result: FilterResult, facts: Mapping[str, Any]) -> str:
    config = {"config_name": "default", "data_files": _data_files(split, result, "tar", folder=f"splits/{split}/")}
    return _render(
        "split.md.j2",
        facts,
        front_matter=_front_matter([(config | {"description": result.digest}, None)]),
        split=split,
        samples=result.splits[split],
        glob=_loading(split, result)["glob"],
    )


def _annotation_configs(store: Store, commits: Commits) -> Iterator[tuple[dict[str, Any], list[Any] | None]]:
    """One configuration for all rows, and where there are several policies one for each."""
    features = [
        {"name": field.name, "list": _LISTS[field.type]}
        if field.type in _LISTS
        else {"name": field.name, "dtype": _KINDS[field.type]}
        for field in SCHEMA
    ]
    names = {"annotations": list(commits)}
    if len(commits) > 1:
        names |= {f"annotations-{policy}": [policy] for policy in commits}
    for name, policies in names.items():
        paths = [
            path for policy in policies for path in _paths(store, policy, commits[policy], read_indexes(store, policy))
        ]
        yield (
            {
                "config_name": name,
                "data_files": [{"split": "train", "path": paths}],
                "description": _digest(commits[policy] for policy in policies),
            },
            features,
        )


def _paths(store: Store, policy: str, commits: Mapping[str, Commit], indexes: Iterable[Index]) -> list[str]:
    """Parts, and files of their own: by a pattern where all that are there are committed, else by name."""
    parts, compacted = _parts(commits, indexes)
    folder = f"annotations/{policy}"
    names = [f"{shard}.parquet" for shard in sorted(commits.keys() - compacted)]
    whole = names and names == store.names(folder)
    return [*parts, *([f"{folder}/*.parquet"] if whole else [f"{folder}/{name}" for name in names])]


def _parts(commits: Mapping[str, Commit], indexes: Iterable[Index]) -> tuple[list[str], set[str]]:
    """The parts with rows of `commits`, and the shards in them; of several indexes one that has as many as any."""
    spans = [[s for s in index.spans if s.shard in commits and is_of(s, commits[s.shard])] for index in indexes]
    most = max(spans, key=len, default=[])
    return list(dict.fromkeys(span.part for span in most)), {span.shard for span in most}


def _replaced(paths: str | list[str], folder: str, current: list[str]) -> str | list[str]:
    """`paths` with those in `folder` replaced by `current`."""
    listed = [paths] if isinstance(paths, str) else paths
    places = [n for n, path in enumerate(listed) if path.startswith(folder)]
    return [*listed[: places[0]], *current, *listed[places[-1] + 1 :]] if places else paths


def _split_configs(settings: FilterSettings, result: FilterResult) -> Iterator[tuple[dict[str, Any], list[Any] | None]]:
    for split in _there(result):
        config = {
            "config_name": split,
            "data_files": _data_files(split, result, "parquet", folder=""),
            "description": result.digest,
        }
        yield config | ({"default": True} if split == CLEAN else {}), _split_features(settings, split)


def _split_features(settings: FilterSettings, split: str) -> list[Any]:
    """What is in `failed` may not decode: there, rows show the bytes."""
    if settings.write == "index":
        return [{"name": field.name, "dtype": _KINDS[field.type]} for field in write_index.SCHEMA]
    image = {"image": {"decode": False}} if split == FAILED else "image"
    sidecar = [{"name": "name", "dtype": "string"}, {"name": "data", "dtype": "binary"}]
    nested = {"image": {"name": "image", "dtype": image}, "sidecar": {"name": "sidecar", "list": sidecar}}
    return [nested.get(f.name) or {"name": f.name, "dtype": _KINDS[f.type]} for f in write_parquet.SCHEMA]


def _data_files(split: str, result: FilterResult, suffix: str, *, folder: str) -> list[dict[str, str]]:
    """Split names of `datasets` and the files of each, below `folder`, e.g. "splits/clean/"."""
    pattern = f"*-{result.digest}.{suffix}"
    parts = [part for part in result.parts if part.split("/")[0] == split]
    paths = [(part.partition("/")[2] or "train", f"splits/{part}/{pattern}") for part in parts]
    return [{"split": name, "path": path.removeprefix(folder)} for name, path in paths]


def _there(result: FilterResult) -> list[str]:
    """Splits that hold something, clean first: `datasets` cannot load an empty one."""
    return [split for split in reversed(list(result.splits)) if result.splits[split]]


def _loading(split: str, result: FilterResult) -> dict[str, Any]:
    """How a person loads `split`."""
    subsets = any(part.startswith(f"{split}/") for part in result.parts)
    glob = f"splits/{split}/{'*/' if subsets else ''}*-{result.digest}.tar"
    return {"name": split, "variable": split.replace("-", "_"), "subsets": subsets, "glob": glob}


class _PlainDumper(yaml.SafeDumper):
    """Writes the same list twice rather than a reference to it, which few readers of cards understand."""

    def ignore_aliases(self, data: object) -> bool:
        return True


class _Counts:
    """Samples by split and rating, for the table."""

    def __init__(self, result: FilterResult) -> None:
        self._splits = result.splits
        self._rated = {(split, rating): samples for split, rating, samples in result.ratings}

    def of(self, split: str) -> dict[str, Any]:
        safe, unsafe, unrated = (self._rated.get((split, r), 0) for r in (Rating.SAFE, Rating.UNSAFE, ""))
        return {"split": split, "samples": self._splits[split], "safe": safe, "unsafe": unsafe, "unrated": unrated}

    def rated(self, rating: str) -> int:
        return sum(samples for (_, of), samples in self._rated.items() if of == rating)


def _front_matter(configs: Iterable[tuple[dict[str, Any], list[Any] | None]]) -> str:
    configs = list(configs)
    infos = [{"config_name": config["config_name"], "features": f} for config, f in configs if f is not None]
    matter: dict[str, Any] = {"configs": [config for config, _ in configs]}
    matter |= {"dataset_info": infos} if infos else {}
    return _dumped(matter)


def _dumped(matter: Mapping[str, Any]) -> str:
    text: str = yaml.dump(matter, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=1000)
    return text


def _digest(commits: Iterable[Mapping[str, Commit]]) -> str:
    lines = sorted(f"{c.policy} {c.shard} {c.sha256}" for of in commits for c in of.values())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _policy(policy: Policy, commits: Mapping[str, Commit]) -> dict[str, str]:
    return {"name": policy.name, "hash": policy_hash(policy), "fingerprint": _fingerprints(commits)}


def _own_policies(store: Store, dataset: DatasetSettings, commits: Commits) -> dict[str, Any] | None:
    """Where each row was judged under its own policy: which field has it, and how many there are."""
    if dataset.policy_column is None:
        return None
    folder, count = f"{POLICIES}/", len(store.names(POLICIES))
    fingerprint = _fingerprints(commits[BY_ROW])
    return {"column": dataset.policy_column, "count": count, "folder": folder, "fingerprint": fingerprint}


def _fingerprints(commits: Mapping[str, Commit]) -> str:
    return ", ".join(sorted({commit.fingerprint for commit in commits.values()}))


def _render(template: str, facts: Mapping[str, Any], **more: Any) -> str:
    return _environment().get_template(template).render(**facts, **more)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("curate.cards"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )
    environment.filters["count"] = lambda number: f"{number:,}"
    environment.filters["share"] = lambda part, whole: f"{100 * part / whole:.1f} %" if whole else "none"
    environment.filters["cell"] = lambda text: " ".join(str(text).split()).replace("|", "\\|")
    return environment
