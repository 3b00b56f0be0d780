"""Which files in splits/ count: those of the rule set that the cards point to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from curate.filtering.manifest import CARD, FOLDER, TABLES, Manifest, read_manifests
from curate.filtering.overrides import kept_overrides
from curate.filtering.result import FilterResult
from curate.filtering.rules import Rules
from curate.filtering.stage import check_settings
from curate.settings.filter import FilterSettings
from curate.verification.cards import Pointer
from curate.verification.evidence import Evidence, Finding, Law, Note
from curate.verification.folder import Folder

ANNOTATIONS = "annotations"
"""The configuration of a card for the rows of every policy that decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """The rules that were recorded, and what they were compiled to; once, for all shards."""

    settings: FilterSettings
    rules: Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSet:
    """The splits that count.

    Attributes:
        manifest: the rule set.
        deciding: its rules; None where it records none.
        annotations: the card's configuration for the annotations that decided.
        files: by shard id, (part, file name) of each split file; a part is a folder below splits/.
    """

    manifest: Manifest
    deciding: Deciding | None = field(repr=False)
    annotations: Pointer
    files: Mapping[str, Sequence[tuple[str, str]]] = field(repr=False)

    @property
    def policies(self) -> tuple[str, ...]:
        """Whose annotations decided."""
        return self.annotations.policies()

    @property
    def result(self) -> FilterResult | None:
        """What the finished stage reported."""
        return None if self.manifest.result is None else FilterResult(**self.manifest.result)


def find_split_set(folder: Folder, pointers: Sequence[Pointer]) -> SplitSet | Finding | Note | None:
    """The splits that count; a note where none does (yet), a finding where the cards contradict what is there."""
    manifests = {manifest.digest: manifest for manifest in read_manifests(folder.store)}
    pointed = {pointer.description: pointer.where for pointer in pointers if not pointer.is_annotations}
    under_way = [manifest for manifest in manifests.values() if manifest.result is None]
    if not pointed:
        return Note("splits that no card points to yet; run `filter`", under_way[0].name) if under_way else None
    if len(pointed) > 1 and under_way:
        return Note("splits that are being replaced by those of other rules; run `filter`", under_way[0].name)
    digest, where = next(iter(pointed.items()))
    if len(pointed) > 1:
        return Finding(Law.THE_PLAN, where, f"the cards point to several rule sets: {', '.join(sorted(pointed))}")
    if digest not in manifests:
        return Finding(Law.THE_PLAN, where, f"no {TABLES}/{digest}.json, the rule set that the card points to")
    annotations = next((pointer for pointer in pointers if pointer.config == ANNOTATIONS), None)
    if annotations is None:
        return Finding(Law.THE_PLAN, CARD, f"has no config {ANNOTATIONS} for the rows behind its splits")
    manifest = manifests[digest]
    return SplitSet(
        manifest=manifest,
        deciding=_deciding(folder, manifest),
        annotations=annotations,
        files=_files(folder, manifest),
    )


def check_split_set(folder: Folder, splits: SplitSet) -> Iterator[Evidence]:
    """Files belong to judged shards, patterns are of the one rule set, numbers of files are as reported."""
    for shard, files in splits.files.items():
        if shard not in folder.planned or not set(splits.policies) <= set(folder.judged(shard)):
            for _, name in files:
                yield Finding(Law.FAIL_CLOSED, name, "counts, but is of no judged shard")
    if splits.result is None:
        yield Note("splits are complete, but the filter stage did not end; run `filter`", splits.manifest.name)


def _deciding(folder: Folder, manifest: Manifest) -> Deciding | None:
    if not manifest.rules:
        return None
    settings, run = FilterSettings(**manifest.rules), folder.run.settings
    rules = check_settings(settings, run.dataset, run.policies)
    return Deciding(settings=settings, rules=rules.with_overrides(kept_overrides(folder.store, settings)))


def _files(folder: Folder, manifest: Manifest) -> dict[str, list[tuple[str, str]]]:
    files: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for part in manifest.parts:
        for name in folder.store.names(f"{FOLDER}/{part}"):
            shard, _, last = name.rpartition("-")
            if last.split(".")[0] == manifest.digest:
                files[shard].append((part, f"{FOLDER}/{part}/{name}"))
    return dict(files)
