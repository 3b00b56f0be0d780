"""Which files belong to which rule set.

Every file of the stage carries the digest of what decided it, so that files of two rule sets never mix. A rule set
registers as tables/<digest>.json before its first file is written, and is marked complete after the card points to it;
only then is what others left behind deleted. An interrupted stage thus never leaves files that nobody knows of.

Below splits/ lie split files and nothing else, so that whoever loads what matches a pattern there gets samples. Earlier
versions wrote the other files there too: they are read, and moved or deleted when a stage ends.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from curate.runs.commits import Commit
from curate.settings.dataset import DatasetSettings
from curate.settings.filter import FilterSettings
from curate.storage.retrying_store import scratch_file
from curate.storage.store import Store

FOLDER = "splits"
TABLES = "tables"
"""For everything about the splits that is no split file."""
CARD = "README.md"
FORMAT_VERSION = 3
"""Changes whenever the same decisions would be written differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A rule set's claim on files in splits/.

    Attributes:
        digest: eight hexadecimal digits in every file name.
        parts: folders below splits/ that it may write to, e.g. "review" or "clean/train".
        rules: the settings that decide; empty where a version wrote it that did not keep them.
        result: what the finished stage reported; None while it is under way.
        home: where it lies, with the tables beside it: `TABLES`, or `FOLDER` where an earlier version wrote it.
    """

    digest: str
    parts: tuple[str, ...]
    rules: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    home: str = TABLES

    @property
    def name(self) -> str:
        """Name of the manifest in the store."""
        return f"{self.home}/{self.digest}.json"

    def file(self, part: str, shard: str, suffix: str) -> str:
        """Name of a shard's file in `part`."""
        return f"{FOLDER}/{part}/{shard}-{self.digest}.{suffix}"

    def side_file(self, what: str) -> str:
        """Name of a file about all splits, e.g. the ledger of removals."""
        return f"{self.home}/{what}-{self.digest}.parquet"

    def owns(self, name: str) -> bool:
        """Whether a file is one of this rule set's by its name."""
        return name.rpartition(".")[0].endswith(f"-{self.digest}")

    def to_json(self) -> bytes:
        """Readable JSON."""
        record = {"digest": self.digest, "parts": self.parts, "rules": self.rules, "result": self.result}
        return json.dumps(record, indent=1, ensure_ascii=False).encode()


def digest_of(settings: FilterSettings, dataset: DatasetSettings, commits: Iterable[Commit]) -> str:
    """Eight hexadecimal digits of everything that can change a split file; the order of rules is part of it."""
    without = {"name"} if settings.overrides else {"name", "overrides"}  # which earlier versions did not have
    record = {
        "version": FORMAT_VERSION,
        "filter": settings.model_dump(mode="json", exclude=without),
        "dataset": dataset.model_dump(mode="json", include={"caption", "label", "policy_column", "image", "key"}),
        "commits": sorted([c.policy, c.shard, c.fingerprint, c.plan_hash, c.sha256] for c in commits),
    }
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()[:8]


def read_manifests(store: Store) -> list[Manifest]:
    """All rule sets that have, or may have, files in the store; of one that was moved both, the old one first."""
    return [manifest for home in (FOLDER, TABLES) for manifest in _manifests_in(store, home)]


def _manifests_in(store: Store, home: str) -> list[Manifest]:
    names = [name for name in store.names(home) if name.endswith(".json")]
    records = [json.loads(store.read(f"{home}/{name}")) for name in names]
    return [Manifest(**record | {"parts": tuple(record["parts"])}, home=home) for record in records]


def register(store: Store, manifest: Manifest) -> None:
    """Make `manifest` known before its first file is written; one that is there, complete or not, stands."""
    if not store.exists(manifest.name):
        store.create(manifest.name, manifest.to_json())


def replace_if_changed(store: Store, name: str, data: bytes) -> None:
    """Write `name` unless it holds just that already."""
    if not store.exists(name) or store.read(name) != data:
        store.replace(name, data)


def move_tables(store: Store, current: Manifest) -> None:
    """Copy the tables of the current rule set to where they belong, if an earlier version wrote them."""
    for name in store.names(FOLDER):
        place = f"{current.home}/{name}"
        if current.owns(name) and not store.exists(place):
            with store.local(f"{FOLDER}/{name}") as there, scratch_file(store) as scratch:
                shutil.copyfile(there, scratch)
                store.publish(scratch, place)


def forget_others(store: Store, current: Manifest, cards: Iterable[str]) -> None:
    """Delete every file of other rule sets, their manifests last, and what of the current one was moved.

    Args:
        store: the run's folder.
        current: the rule set that the card points to.
        cards: names of the current splits' own cards, which stay.
    """
    keep = set(cards)
    for other in read_manifests(store):
        if other.digest != current.digest:
            _forget(store, other, keep)
        elif other.home != current.home:
            _forget_tables(store, other)


def _forget(store: Store, manifest: Manifest, cards: set[str]) -> None:
    for part in manifest.parts:
        folder = f"{FOLDER}/{part}"
        _delete(store, folder, [name for name in store.names(folder) if manifest.owns(name)])
    for split in dict.fromkeys(part.split("/")[0] for part in manifest.parts):
        folder = f"{FOLDER}/{split}"
        _delete(store, folder, [n for n in store.names(folder) if n == CARD and f"{folder}/{n}" not in cards])
    _forget_tables(store, manifest)


def _forget_tables(store: Store, manifest: Manifest) -> None:
    _delete(store, manifest.home, [name for name in store.names(manifest.home) if manifest.owns(name)])
    store.delete(manifest.name)


def _delete(store: Store, folder: str, names: Iterable[str]) -> None:
    for name in names:
        store.delete(f"{folder}/{name}")
