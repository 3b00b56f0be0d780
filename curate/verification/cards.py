"""The cards as `datasets` reads them: where each configuration points to, and that all of it is there and counts.

What a pattern matches is what somebody loads. A pattern without files, or files that do not count behind one, are
therefore violations even where every table is sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from curate.core.yaml_files import load_yaml
from curate.filtering.manifest import CARD
from curate.storage.store import Store
from curate.verification.evidence import Checked, Evidence, Finding, Law, Note
from curate.verification.folder import Folder

_ANNOTATIONS = "annotations/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """One configuration of a card.

    Attributes:
        card: name of the card.
        config: name of the configuration.
        description: the digest it carries.
        patterns: file patterns, relative to the run's folder.
    """

    card: str
    config: str
    description: str
    patterns: tuple[str, ...]

    @property
    def where(self) -> str:
        """The place in the card."""
        return f"{self.card}, config {self.config}"

    @property
    def is_annotations(self) -> bool:
        """Whether it points to rows rather than to a split."""
        return all(pattern.startswith(_ANNOTATIONS) for pattern in self.patterns)

    def policies(self) -> tuple[str, ...]:
        """The policies whose rows it points to, in order."""
        return tuple(dict.fromkeys(pattern.split("/")[1] for pattern in self.patterns))


def read_pointers(store: Store) -> list[Pointer]:
    """Every configuration of the run's card and of the splits' own."""
    names = [CARD, *(f"splits/{split}/{CARD}" for split in store.folders("splits"))]
    return [pointer for name in names if store.exists(name) for pointer in _pointers(name, store.read(name))]


def check_cards(folder: Folder, pointers: Sequence[Pointer]) -> Iterator[Evidence]:
    """Every pattern matches files, and behind the patterns for annotations only committed files are found."""
    names = _Names(folder.store)
    for pointer in pointers:
        matched = {pattern: names.matching(pattern) for pattern in pointer.patterns}
        yield Checked(Law.NO_LEFTOVERS, "patterns of cards", len(matched))
        for pattern, files in matched.items():
            if not files:
                yield _nothing(folder, pointer, pattern)
        if pointer.is_annotations:
            yield from _uncommitted(folder, pointer, [name for files in matched.values() for name in files])


def _nothing(folder: Folder, pointer: Pointer, pattern: str) -> Evidence:
    if pointer.is_annotations and not folder.finished:
        return Note("annotation files that a card points to and that are being judged again", pattern)
    return Finding(Law.NO_LEFTOVERS, pointer.where, f"{pattern} matches no file")


def _uncommitted(folder: Folder, pointer: Pointer, files: list[str]) -> Iterator[Evidence]:
    for name in files:
        policy = name.split("/")[1]
        uncommitted = [shard for shard in _shards_in(folder, name) if shard not in folder.committed.get(policy, ())]
        if not uncommitted:
            continue
        if all(shard in folder.planned and not folder.is_finished(shard) for shard in uncommitted):
            yield Note("annotation files behind the card's pattern whose shard is still being judged", name)
        else:
            yield Finding(Law.NO_LEFTOVERS, name, f"has no commit and does not count, but {pointer.where} points to it")


def _shards_in(folder: Folder, name: str) -> list[str]:
    """Shards that have rows in a file: that of its name, or those of a part."""
    spans = folder.part_spans.get(name)
    return [name.rpartition("/")[2].removesuffix(".parquet")] if spans is None else [span.shard for span in spans]


class _Names:
    """File names by folder, listed once, and matched without looking at each where a pattern is a plain name."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listed: dict[str, dict[str, None]] = {}

    def matching(self, pattern: str) -> list[str]:
        folder, _, last = pattern.rpartition("/")
        if folder not in self._listed:
            self._listed[folder] = dict.fromkeys(self._store.names(folder))
        names = self._listed[folder]
        if not any(sign in last for sign in "*?["):
            return [pattern] if last in names else []
        return [f"{folder}/{name}" for name in names if fnmatchcase(name, last)]


def _pointers(card: str, data: bytes) -> Iterator[Pointer]:
    folder = card.removesuffix(CARD)
    for config in _front_matter(data.decode()).get("configs", []):
        paths = [path for entry in config["data_files"] for path in _listed(entry["path"])]
        yield Pointer(
            card=card,
            config=config["config_name"],
            description=str(config.get("description", "")),
            patterns=tuple(f"{folder}{path}" for path in paths),
        )


def _front_matter(text: str) -> Mapping[str, Any]:
    """The YAML between the first two lines of three dashes."""
    loaded = load_yaml(text.split("\n---", 1)[0].removeprefix("---"))
    return loaded if isinstance(loaded, dict) else {}


def _listed(path: str | list[str]) -> list[str]:
    return [path] if isinstance(path, str) else path
